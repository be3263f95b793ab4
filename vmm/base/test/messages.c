/* Standard error caught in a file. */
#include "vmm/base/test/messages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/base/test/unit.h"

static int saved, file;
static char text[16384];

void messages_begin(void)
{
	saved = dup(STDERR_FILENO);
	file = memfd_create("stderr", MFD_CLOEXEC);
	assert_true(saved >= 0 && file >= 0);
	/* Threads that share a memfd's position overwrite each other; those that append do not. */
	assert_int_equal(fcntl(file, F_SETFL, O_APPEND), 0);
	assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
}

const char *messages_end(void)
{
	ssize_t n = pread(file, text, sizeof(text) - 1, 0);

	dup2(saved, STDERR_FILENO);
	close(saved);
	close(file);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}
