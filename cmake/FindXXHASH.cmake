# xxHash: defines XXHASH::XXHASH and XXHASH::XXHASH_static where there is an archive.
find_path(XXHASH_INCLUDE_DIR xxhash.h)
find_library(XXHASH_LIBRARY xxhash)
find_library(XXHASH_STATIC_LIBRARY
             NAMES ${CMAKE_STATIC_LIBRARY_PREFIX}xxhash${CMAKE_STATIC_LIBRARY_SUFFIX})
if(XXHASH_INCLUDE_DIR)
  file(STRINGS ${XXHASH_INCLUDE_DIR}/xxhash.h _xxhash_lines
       REGEX "define XXH_VERSION_(MAJOR|MINOR|RELEASE)")
  string(REGEX REPLACE "[^;]*MAJOR[ \t]+([0-9]+).*MINOR[ \t]+([0-9]+).*RELEASE[ \t]+([0-9]+).*"
         "\\1.\\2.\\3" XXHASH_VERSION "${_xxhash_lines}")
endif()
include(${CMAKE_CURRENT_LIST_DIR}/CkptImportLibrary.cmake)
ckpt_import_library(XXHASH)
