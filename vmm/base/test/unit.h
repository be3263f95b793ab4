/* What a unit test is made of: cmocka, behind what its header wants to have seen. */
#ifndef VMM_BASE_TEST_UNIT_H
#define VMM_BASE_TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
