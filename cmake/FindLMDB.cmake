# LMDB: defines LMDB::LMDB (as the linker prefers) and LMDB::LMDB_static where there is an archive.
find_path(LMDB_INCLUDE_DIR lmdb.h)
find_library(LMDB_LIBRARY lmdb)
find_library(LMDB_STATIC_LIBRARY NAMES ${CMAKE_STATIC_LIBRARY_PREFIX}lmdb${CMAKE_STATIC_LIBRARY_SUFFIX})
if(LMDB_INCLUDE_DIR)
  file(STRINGS ${LMDB_INCLUDE_DIR}/lmdb.h _lmdb_lines REGEX "define MDB_VERSION_(MAJOR|MINOR|PATCH)")
  string(REGEX REPLACE "[^;]*MAJOR[ \t]+([0-9]+).*MINOR[ \t]+([0-9]+).*PATCH[ \t]+([0-9]+).*" "\\1.\\2.\\3"
         LMDB_VERSION "${_lmdb_lines}")
endif()
include(${CMAKE_CURRENT_LIST_DIR}/CkptImportLibrary.cmake)
ckpt_import_library(LMDB)
