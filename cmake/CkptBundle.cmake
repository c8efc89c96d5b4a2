# Sets CKPT_BUNDLED_ARCHIVES (copies of the dependencies' archives, ready to be merged) and tries
# whether a shared library can be made of them: CKPT_BUNDLE_WORKS. Debian's are compiled for
# position-independent executables only, which is enough once their symbols are local, except for
# `stderr`: see bundled_stderr.c.

set(bundle_dir ${PROJECT_BINARY_DIR}/bundled)
file(MAKE_DIRECTORY ${bundle_dir})
set(CKPT_BUNDLED_ARCHIVES)
foreach(dependency LMDB XXHASH ZSTD)
  if(${dependency}_STATIC_LIBRARY)
    get_filename_component(name ${${dependency}_STATIC_LIBRARY} NAME)
    list(APPEND CKPT_BUNDLED_ARCHIVES ${bundle_dir}/${name})
    execute_process(COMMAND ${CKPT_OBJCOPY} --redefine-sym stderr=bundled_stderr
                            ${${dependency}_STATIC_LIBRARY} ${bundle_dir}/${name})
  endif()
endforeach()

if(NOT DEFINED CKPT_BUNDLE_WORKS)
  set(CKPT_BUNDLE_WORKS OFF)
  list(LENGTH CKPT_BUNDLED_ARCHIVES count)
  if(count EQUAL 3)
    set(probe ${bundle_dir}/probe)
    set(stderr_source ${PROJECT_SOURCE_DIR}/cmake/bundled_stderr.c)
    execute_process(COMMAND ${CMAKE_C_COMPILER} -fPIC -c ${stderr_source} -o ${probe}_stderr.o
                    COMMAND_ERROR_IS_FATAL ANY)
    execute_process(
      COMMAND ${CKPT_LD} -r --force-group-allocation -o ${probe}.all ${probe}_stderr.o
              --whole-archive ${CKPT_BUNDLED_ARCHIVES}
      RESULT_VARIABLE merge_failed OUTPUT_VARIABLE log ERROR_VARIABLE log)
    execute_process(
      COMMAND ${CKPT_OBJCOPY} --wildcard --keep-global-symbol=ckpt_* ${probe}.all ${probe}.o
      RESULT_VARIABLE hide_failed OUTPUT_VARIABLE log ERROR_VARIABLE log)
    execute_process(
      COMMAND ${CMAKE_C_COMPILER} -shared -o ${probe}.so ${probe}.o -pthread -Wl,-z,defs
              -Wl,--fatal-warnings
      RESULT_VARIABLE link_failed OUTPUT_VARIABLE log ERROR_VARIABLE log)
    if(NOT merge_failed AND NOT hide_failed AND NOT link_failed)
      set(CKPT_BUNDLE_WORKS ON)
    endif()
    file(REMOVE ${probe}.all ${probe}.o ${probe}.so ${probe}_stderr.o)
  endif()
  set(CKPT_BUNDLE_WORKS ${CKPT_BUNDLE_WORKS} CACHE INTERNAL "The archives can be bundled")
  if(CKPT_BUNDLE_WORKS)
    message(STATUS "LMDB, xxHash and zstd are bundled into the library")
  else()
    message(STATUS "LMDB, xxHash and zstd stay libraries of their own: they cannot be bundled here")
  endif()
endif()
