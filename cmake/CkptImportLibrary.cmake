# What the Find modules here share: <name>_INCLUDE_DIR, <name>_LIBRARY and <name>_STATIC_LIBRARY
# become <name>::<name> and <name>::<name>_static.
include(FindPackageHandleStandardArgs)
macro(ckpt_import_library name)
  find_package_handle_standard_args(
    ${name} REQUIRED_VARS ${name}_LIBRARY ${name}_INCLUDE_DIR VERSION_VAR ${name}_VERSION)
  mark_as_advanced(${name}_INCLUDE_DIR ${name}_LIBRARY ${name}_STATIC_LIBRARY)
  if(${name}_FOUND AND NOT TARGET ${name}::${name})
    add_library(${name}::${name} UNKNOWN IMPORTED)
    set_target_properties(${name}::${name} PROPERTIES
      IMPORTED_LOCATION "${${name}_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${${name}_INCLUDE_DIR}")
  endif()
  if(${name}_FOUND AND ${name}_STATIC_LIBRARY AND NOT TARGET ${name}::${name}_static)
    add_library(${name}::${name}_static STATIC IMPORTED)
    set_target_properties(${name}::${name}_static PROPERTIES
      IMPORTED_LOCATION "${${name}_STATIC_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${${name}_INCLUDE_DIR}")
  endif()
endmacro()
