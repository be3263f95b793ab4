/* The agent: the job as its file has it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/agent/agent.h"

static char *read_file(const char *path, size_t *len)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0)
		fail("read", path, errno);
	*len = (size_t)st.st_size;
	text = malloc(*len + 1);
	if (!text || read(fd, text, *len) != (ssize_t)*len)
		fail("read", path, text ? EIO : ENOMEM);
	text[*len] = '\0';
	close(fd);
	return text;
}

/* The value where @s is `key=value`. */
static char *value(char *s, const char *key)
{
	const size_t n = strlen(key);

	return strncmp(s, key, n) || s[n] != '=' ? NULL : s + n + 1;
}

void read_job(struct job *job)
{
	size_t len, nr = 1, args = 0, envs = 0, fss = 0;
	char *text = read_file("/" JOB_FILE, &len);

	for (size_t i = 0; i < len; i++)
		nr += !text[i];
	job->cwd = "/";
	job->argv = calloc(nr, sizeof(*job->argv));
	job->env = calloc(nr, sizeof(*job->env));
	job->fs = calloc(nr, sizeof(*job->fs));
	if (!job->argv || !job->env || !job->fs)
		fail("read", JOB_FILE, ENOMEM);
	for (char *s = text, *v; s < text + len; s += strlen(s) + 1)
		if ((v = value(s, "arg")))
			job->argv[args++] = v;
		else if ((v = value(s, "env")))
			job->env[envs++] = v;
		else if ((v = value(s, "fs")))
			job->fs[fss++] = v;
		else if ((v = value(s, "cwd")))
			job->cwd = v;
		else if ((v = value(s, "net")))
			job->net = v;
		else if ((v = value(s, "user")))
			sscanf(v, "%u:%u", &job->uid, &job->gid);
		else if ((v = value(s, "err")))
			job->err_is_out = !strcmp(v, "out");
		else if ((v = value(s, "run")))
			job->run_is_roots = !strcmp(v, "root");
		else if ((v = value(s, "tty")))
			job->tty = sscanf(v, "%hux%hu", &job->rows, &job->cols) == 2;
		else
			fail("understand", s, EINVAL);
	if (!args || !fss)
		fail("understand", JOB_FILE, EINVAL);
}
