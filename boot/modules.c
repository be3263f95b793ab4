/* Kernel modules: which ones a guest's kernel needs, and in which order. */
#include "boot/modules.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "boot/file.h"
#include "vmm/base/log.h"

#define MAX_MODULE ((size_t)64 << 20) /* bytes, unpacked */
#define MAX_DEPTH  32u		      /* of modules that depend on modules */

/* How a module's file may be packed. */
static const struct packing {
	const char *suffix, *program, *package;
} packings[] = {
	{ ".ko", NULL, NULL },
	{ ".ko.xz", "xz", "xz-utils" },
	{ ".ko.zst", "zstd", "zstd" },
	{ ".ko.gz", "gzip", "gzip" },
};

/* A module of the folder. */
struct file {
	char *name, *path;
	const struct packing *packing;
	bool builtin;
};

struct folder {
	const char *dir;
	struct file *file;
	unsigned int nr, room;
};

/* ---- the folder ---- */

/* The module's name in @base, a file's name, with its packing; NULL if it is no module. Freed by the caller. */
static char *name_of(const char *base, const struct packing **packing)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(packings); i++) {
		const size_t len = strlen(base), end = strlen(packings[i].suffix);
		char *name;

		if (len <= end || strcmp(base + len - end, packings[i].suffix))
			continue;
		name = strndup(base, len - end);
		for (char *c = name; c && *c; c++)
			if (*c == '-')
				*c = '_';
		*packing = &packings[i];
		return name;
	}
	return NULL;
}

static int add_file(struct folder *f, const char *path, bool builtin)
{
	const char *base = strrchr(path, '/');
	const struct packing *packing;
	char *name = name_of(base ? base + 1 : path, &packing);

	if (!name)
		return 0;
	if (f->nr == f->room) {
		const unsigned int room = f->room ? 2 * f->room : 512;
		struct file *file = realloc(f->file, room * sizeof(*file));

		if (!file) {
			free(name);
			return -ENOMEM;
		}
		f->file = file;
		f->room = room;
	}
	f->file[f->nr++] = (struct file){
		.name = name, .path = strdup(path), .packing = packing, .builtin = builtin
	};
	return f->file[f->nr - 1].path ? 0 : -ENOMEM;
}

static int read_tree(struct folder *f)
{
	char *const roots[] = { (char *)f->dir, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
	int ret = fts ? 0 : -errno;
	FTSENT *e;

	while (!ret && (e = fts_read(fts)))
		if (e->fts_info == FTS_NSOK || e->fts_info == FTS_F)
			ret = add_file(f, e->fts_path, false);
	if (fts)
		fts_close(fts);
	return ret;
}

static int read_builtin(struct folder *f)
{
	char line[512], path[4096];
	FILE *file;
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/modules.builtin", f->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is not waited for */
	file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!file)
		return 0; /* nothing is known to be built in */
	while (!ret && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		ret = add_file(f, line, true);
	}
	fclose(file);
	return ret;
}

static const struct file *find(const struct folder *f, const char *name)
{
	for (unsigned int i = 0; i < f->nr; i++)
		if (!strcmp(f->file[i].name, name))
			return &f->file[i];
	return NULL;
}

/* ---- one module ---- */

/* All of @fd, up to the limit. */
static int read_all(int fd, struct module *m)
{
	size_t room = 0;

	for (;;) {
		ssize_t n;

		if (m->len == room) {
			uint8_t *data;

			room = room ? 2 * room : 256 * KIB;
			data = room > 2 * MAX_MODULE ? NULL : realloc(m->data, room);
			if (!data)
				return room > 2 * MAX_MODULE ? -EFBIG : -ENOMEM;
			m->data = data;
		}
		n = TEMP_FAILURE_RETRY(read(fd, m->data + m->len, room - m->len));
		if (n <= 0)
			return n < 0 ? -errno : 0;
		m->len += (size_t)n;
	}
}

/* Through the host's program, with the file as its input; it ends by itself or for want of a reader. */
static int unpack(const char *program, int file, struct module *m)
{
	char *const argv[] = { (char *)program, (char *)"-dc", NULL };
	posix_spawn_file_actions_t actions;
	int out[2], status, ret;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, file, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	/* What it says is not for a user who never named it. */
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	ret = -posix_spawnp(&pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	if (ret) {
		close(out[0]);
		return ret == -ENOENT ? -ENOEXEC : ret;
	}
	ret = read_all(out[0], m);
	close(out[0]);
	TEMP_FAILURE_RETRY(waitpid(pid, &status, 0));
	return ret ? ret : status ? -EBADMSG : 0;
}

static int load(const struct file *f, struct module *m)
{
	struct boot_file file;
	int ret = boot_file_open(&file, "kernel module", f->path);

	if (ret)
		return ret;
	ret = f->packing->program ? unpack(f->packing->program, file.fd, m) : read_all(file.fd, m);
	boot_file_close(&file);
	if (ret == -ENOEXEC)
		log_error(
			"cannot unpack kernel module '%s': this host has no %s (sudo apt-get install %s)",
			f->path, f->packing->program, f->packing->package);
	else if (ret == -EBADMSG)
		log_error("cannot unpack kernel module '%s': it is damaged, says %s", f->path,
			  f->packing->program);
	else if (ret)
		log_error("cannot read kernel module '%s': %s", f->path, strerror(-ret));
	return ret;
}

const char *module_depends(const uint8_t *data, size_t len)
{
	static const char key[] = "depends=";
	Elf64_Ehdr eh;

	if (len < sizeof(eh))
		return NULL;
	memcpy(&eh, data, sizeof(eh));
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) || eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh.e_shentsize != sizeof(Elf64_Shdr) || eh.e_shoff > len ||
	    (len - eh.e_shoff) / sizeof(Elf64_Shdr) < eh.e_shnum)
		return NULL;
	/* The one section that has the key is .modinfo: strings, the last of which ends in it. */
	for (unsigned int i = 0; i < eh.e_shnum; i++) {
		const char *s, *end;
		Elf64_Shdr sh;

		memcpy(&sh, data + eh.e_shoff + i * sizeof(sh), sizeof(sh));
		if (sh.sh_type != SHT_PROGBITS || !sh.sh_size || sh.sh_offset > len ||
		    sh.sh_size > len - sh.sh_offset)
			continue;
		s = (const char *)data + sh.sh_offset;
		end = s + sh.sh_size;
		if (end[-1])
			continue;
		while ((s = memmem(s, (size_t)(end - s), key, sizeof(key) - 1))) {
			if (s == (const char *)data + sh.sh_offset || !s[-1])
				return s + sizeof(key) - 1;
			s++;
		}
	}
	return NULL;
}

/* ---- the order ---- */

static bool is_picked(const struct modules *m, const char *name)
{
	for (unsigned int i = 0; i < m->nr; i++)
		if (!strcmp(m->module[i].name, name))
			return true;
	return false;
}

static int pick(struct modules *out, const struct folder *f, const char *name, unsigned int depth);

static int pick_all(struct modules *out, const struct folder *f, const char *depends,
		    unsigned int depth)
{
	char *list = strdup(depends), *rest = list, *name;
	int ret = list ? 0 : -ENOMEM;

	while (!ret && (name = strsep(&rest, ",")))
		if (*name)
			ret = pick(out, f, name, depth);
	free(list);
	return ret;
}

static int append(struct modules *out, struct module *m)
{
	struct module *all = realloc(out->module, (out->nr + 1) * sizeof(*all));

	if (!all)
		return -ENOMEM;
	all[out->nr++] = *m;
	out->module = all;
	*m = (struct module){ 0 };
	return 0;
}

static int pick(struct modules *out, const struct folder *f, const char *name, unsigned int depth)
{
	const struct file *file = find(f, name);
	struct module m = { 0 };
	const char *depends;
	int ret;

	if (!file)
		return log_fail(
			-ENOENT,
			"the kernel has no module '%s', in '%s' or built in (another has, such as linux-image-cloud-amd64's: --kernel)",
			name, f->dir);
	if (file->builtin || is_picked(out, name))
		return 0;
	if (depth == MAX_DEPTH)
		return log_fail(-ELOOP,
				"kernel modules in '%s' depend on each other in a circle, at '%s'",
				f->dir, name);
	ret = load(file, &m);
	depends = ret ? NULL : module_depends(m.data, m.len);
	if (!ret && !depends)
		ret = log_fail(-ENOEXEC, "'%s' is no kernel module", file->path);
	if (!ret)
		ret = pick_all(out, f, depends, depth + 1);
	if (!ret) {
		m.name = strdup(name);
		ret = m.name ? append(out, &m) : -ENOMEM;
	}
	free(m.name);
	free(m.data);
	return ret;
}

int modules_pick(struct modules *out, const char *dir, const char *const *names)
{
	struct folder f = { .dir = dir };
	int ret = read_tree(&f) ?: read_builtin(&f);

	if (ret)
		log_error("cannot read kernel modules in '%s': %s", dir, strerror(-ret));
	*out = (struct modules){ 0 };
	while (!ret && *names)
		ret = pick(out, &f, *names++, 0);
	for (unsigned int i = 0; i < f.nr; i++) {
		free(f.file[i].name);
		free(f.file[i].path);
	}
	free(f.file);
	if (ret)
		modules_free(out);
	return ret;
}

void modules_free(struct modules *m)
{
	for (unsigned int i = 0; i < m->nr; i++) {
		free(m->module[i].name);
		free(m->module[i].data);
	}
	free(m->module);
	*m = (struct modules){ 0 };
}
