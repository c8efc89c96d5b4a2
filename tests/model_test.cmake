# The spin model of collection (docs/collection.md). 77: spin is not installed.
foreach(form short mutants)
  set(option "")
  if(NOT form STREQUAL "short")
    set(option --${form})
  endif()
  add_test(NAME model.${form} COMMAND bash ${PROJECT_SOURCE_DIR}/scripts/model ${option})
  set_tests_properties(model.${form} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900 LABELS model)
endforeach()
