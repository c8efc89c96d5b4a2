# zstd: defines ZSTD::ZSTD and ZSTD::ZSTD_static where there is an archive.
find_path(ZSTD_INCLUDE_DIR zstd.h)
find_library(ZSTD_LIBRARY zstd)
find_library(ZSTD_STATIC_LIBRARY NAMES ${CMAKE_STATIC_LIBRARY_PREFIX}zstd${CMAKE_STATIC_LIBRARY_SUFFIX})
if(ZSTD_INCLUDE_DIR)
  file(STRINGS ${ZSTD_INCLUDE_DIR}/zstd.h _zstd_lines
       REGEX "define ZSTD_VERSION_(MAJOR|MINOR|RELEASE) ")
  string(REGEX REPLACE "[^;]*MAJOR[ \t]+([0-9]+).*MINOR[ \t]+([0-9]+).*RELEASE[ \t]+([0-9]+).*"
         "\\1.\\2.\\3" ZSTD_VERSION "${_zstd_lines}")
endif()
include(${CMAKE_CURRENT_LIST_DIR}/CkptImportLibrary.cmake)
ckpt_import_library(ZSTD)
