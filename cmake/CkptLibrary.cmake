# The library ckpt: shared (target ckpt, alias ckpt::ckpt) and static (ckpt_static,
# ckpt::ckpt_static), from the layers' objects, and everything its users need once installed.
#
# Both show the symbols ckpt_* and no others, so that a program may have its own LMDB, zstd or C++
# classes of our names. For that all objects are linked into one relocatable object (its COMDAT
# groups dissolved, or a group kept elsewhere in the program could discard ours) and every other
# symbol in it is made local; both libraries are that object.
#
# LMDB, xxHash and zstd are bundled into it where their archives allow (CKPT_BUNDLE): a program that
# defines, say, its own ZSTD_compress would otherwise have ours call it, through the shared library
# too. A machine that runs the program then needs none of them.

set(CKPT_ABI 1)  # of cmake/ckpt.map; raise when a symbol of ckpt.h goes or changes its meaning

set(CKPT_PUBLIC_HEADERS)
foreach(header ckpt.h ckpt.hpp)
  if(EXISTS ${PROJECT_SOURCE_DIR}/include/ckpt/${header})
    list(APPEND CKPT_PUBLIC_HEADERS ${PROJECT_SOURCE_DIR}/include/ckpt/${header})
  endif()
endforeach()
# A header that arrives later is seen without a manual configure.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CKPT_PUBLIC_HEADERS})

# The header tells programs which version they compiled against; it must be this one.
if(EXISTS ${PROJECT_SOURCE_DIR}/include/ckpt/ckpt.h)
  foreach(part MAJOR MINOR PATCH)
    file(STRINGS ${PROJECT_SOURCE_DIR}/include/ckpt/ckpt.h line
         REGEX "^#define CKPT_VERSION_${part} +[0-9]+")
    if(NOT line MATCHES "CKPT_VERSION_${part} +${PROJECT_VERSION_${part}}([^0-9]|$)")
      message(FATAL_ERROR "include/ckpt/ckpt.h must say #define CKPT_VERSION_${part} "
                          "${PROJECT_VERSION_${part}} (project(VERSION) in CMakeLists.txt)")
    endif()
  endforeach()
endif()

set(ckpt_objects)
foreach(layer IN LISTS CKPT_LAYER_TARGETS)
  list(APPEND ckpt_objects $<TARGET_OBJECTS:${layer}>)
endforeach()

# The merging needs GNU's linker and objcopy, whichever compiler is used. Sanitizers register every
# object file with their run time and do not survive it.
find_program(CKPT_LD NAMES ${CMAKE_C_COMPILER_TARGET}-ld.bfd ld.bfd)
find_program(CKPT_OBJCOPY NAMES ${CMAKE_C_COMPILER_TARGET}-objcopy objcopy)
mark_as_advanced(CKPT_LD CKPT_OBJCOPY CKPT_CCACHE)
if(CKPT_SANITIZE OR CMAKE_INTERPROCEDURAL_OPTIMIZATION OR NOT CKPT_LD OR NOT CKPT_OBJCOPY)
  set(ckpt_merge OFF)
else()
  set(ckpt_merge ON)
endif()
set(ckpt_bundled OFF)
if(ckpt_merge AND CKPT_BUNDLE)
  include(CkptBundle)
  set(ckpt_bundled ${CKPT_BUNDLE_WORKS})
endif()

if(ckpt_merge)
  set(merged ${PROJECT_BINARY_DIR}/ckpt_merged.o)
  set(bundled_objects)
  if(ckpt_bundled)
    add_library(ckpt_bundled_stderr OBJECT cmake/bundled_stderr.c)
    set(bundled_objects $<TARGET_OBJECTS:ckpt_bundled_stderr>)
  endif()
  add_custom_command(
    OUTPUT ${merged}
    COMMAND ${CKPT_LD} -r --force-group-allocation -o ${merged}.all ${ckpt_objects}
            ${bundled_objects} ${CKPT_BUNDLED_ARCHIVES}
    COMMAND ${CKPT_OBJCOPY} --wildcard --keep-global-symbol=ckpt_* ${merged}.all ${merged}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${merged}.all
    DEPENDS ${CKPT_LAYER_TARGETS} ${ckpt_objects} ${bundled_objects} ${CKPT_BUNDLED_ARCHIVES}
    COMMAND_EXPAND_LISTS VERBATIM
    COMMENT "Merging the library's objects, only ckpt_* left visible")
  # One target makes it, both libraries wait for that one.
  add_custom_target(ckpt_merged DEPENDS ${merged})
  set_source_files_properties(${merged} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  set(ckpt_objects ${merged})
endif()

set(ckpt_system_targets)
set(CKPT_PC_LIBS_PRIVATE "")
if(NOT ckpt_bundled)
  set(ckpt_system_targets LMDB::LMDB XXHASH::XXHASH ZSTD::ZSTD)
  set(CKPT_PC_LIBS_PRIVATE " -llmdb -lxxhash -lzstd")
endif()

add_library(ckpt SHARED ${ckpt_objects})
add_library(ckpt::ckpt ALIAS ckpt)
set_target_properties(ckpt PROPERTIES
  LINKER_LANGUAGE CXX
  SOVERSION ${CKPT_ABI}
  VERSION ${CKPT_ABI}.${PROJECT_VERSION_MINOR}.${PROJECT_VERSION_PATCH}
  LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/ckpt.map)
target_link_libraries(ckpt PRIVATE ${ckpt_system_targets} Threads::Threads)
target_link_options(ckpt PRIVATE
  "LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/ckpt.map"
  "LINKER:--exclude-libs,ALL" "LINKER:--as-needed")
if(NOT CKPT_SANITIZE)
  target_link_options(ckpt PRIVATE "LINKER:-z,defs" "LINKER:-z,text")
endif()

add_library(ckpt_static STATIC ${ckpt_objects})
add_library(ckpt::ckpt_static ALIAS ckpt_static)
# C as its language, so that a C project can link it: what C++ needs is named instead.
set_target_properties(ckpt_static PROPERTIES OUTPUT_NAME ckpt LINKER_LANGUAGE C)
target_link_libraries(ckpt_static INTERFACE ${ckpt_system_targets} stdc++ m Threads::Threads)
if(ckpt_merge)
  add_dependencies(ckpt ckpt_merged)
  add_dependencies(ckpt_static ckpt_merged)
endif()

foreach(target ckpt ckpt_static)
  target_include_directories(${target} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()

if(CKPT_INSTALL)
  include(CMakePackageConfigHelpers)
  install(TARGETS ckpt ckpt_static EXPORT ckpt-storeTargets
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES ${CKPT_PUBLIC_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ckpt)

  set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ckpt-store)
  install(EXPORT ckpt-storeTargets NAMESPACE ckpt:: DESTINATION ${config_dir})
  configure_package_config_file(cmake/ckpt-storeConfig.cmake.in
    ${PROJECT_BINARY_DIR}/ckpt-storeConfig.cmake INSTALL_DESTINATION ${config_dir})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/ckpt-storeConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/ckpt-storeConfig.cmake
                ${PROJECT_BINARY_DIR}/ckpt-storeConfigVersion.cmake
                cmake/FindLMDB.cmake cmake/FindXXHASH.cmake cmake/FindZSTD.cmake
                cmake/CkptImportLibrary.cmake
          DESTINATION ${config_dir})

  file(RELATIVE_PATH CKPT_PC_UP "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" /)
  configure_file(cmake/ckpt-store.pc.in ${PROJECT_BINARY_DIR}/ckpt-store.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/ckpt-store.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
