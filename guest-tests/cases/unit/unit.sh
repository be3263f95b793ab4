# The unit tests: cmocka's programs, whose closing lines count each test.
make -j"$(nproc)" --no-print-directory -C "$top" BUILD="$build" unit || exit
