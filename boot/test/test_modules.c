/* Which modules are picked, and in which order, from folders made of small ELF files. */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "boot/modules.h"
#include "boot/test/guest.h"
#include "vmm/base/test/unit.h"

static char dir[64];

/* A module: header, two section headers, .modinfo. */
struct ko {
	Elf64_Ehdr eh;
	Elf64_Shdr sh[2];
	char modinfo[200];
};

static struct ko make(const char *depends)
{
	struct ko ko = {
		.eh = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64 },
			.e_shoff = offsetof(struct ko, sh),
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = 2 },
		.sh[1] = { .sh_type = SHT_PROGBITS, .sh_offset = offsetof(struct ko, modinfo) },
	};

	/* A trap: the key inside another string. */
	ko.sh[1].sh_size = (Elf64_Xword)snprintf(ko.modinfo, sizeof(ko.modinfo),
						 "license=depends=no%cdepends=%s", 0, depends) +
			   1;
	return ko;
}

static void put(const char *name, const char *depends)
{
	const struct ko ko = make(depends);
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(&ko, sizeof(ko), 1, f), 1);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	char kernel[128];

	strcpy(dir, "/tmp/test_modules.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(kernel, sizeof(kernel), "%s/kernel", dir);
	assert_int_equal(mkdir(kernel, 0755), 0);
	forget_message();
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
	return 0;
}

static void each_comes_behind_what_it_depends_on(void **state)
{
	static const char *const want[] = { "net", "a_b", NULL };
	static const char *const order[] = { "virtio", "ring", "net", "a_b" };
	struct modules m;

	put("kernel/net.ko", "virtio,ring");
	put("kernel/virtio.ko", "");
	put("kernel/ring.ko", "virtio");
	put("kernel/a-b.ko", "net"); /* a file has '-' where a name has '_' */
	put("kernel/unused.ko", "missing");
	assert_int_equal(modules_pick(&m, dir, want), 0);
	assert_int_equal(m.nr, 4);
	for (unsigned int i = 0; i < m.nr; i++)
		assert_string_equal(m.module[i].name, order[i]);
	assert_int_equal(m.module[0].len, sizeof(struct ko));
	modules_free(&m);
}

static void what_is_built_in_is_left_out(void **state)
{
	static const char *const want[] = { "fs", "net", NULL };
	char path[128];
	struct modules m;
	FILE *f;

	put("kernel/fs.ko", "fuse");
	snprintf(path, sizeof(path), "%s/modules.builtin", dir);
	f = fopen(path, "we");
	fputs("kernel/fs/fuse.ko\nkernel/drivers/net.ko\n", f);
	fclose(f);
	assert_int_equal(modules_pick(&m, dir, want), 0);
	assert_int_equal(m.nr, 1);
	assert_string_equal(m.module[0].name, "fs");
	modules_free(&m);
}

static void packed_ones_are_unpacked(void **state)
{
	static const char *const want[] = { "z", NULL };
	char command[256];
	struct modules m;

	put("kernel/z.ko", "");
	snprintf(command, sizeof(command), "gzip %s/kernel/z.ko", dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(modules_pick(&m, dir, want), 0);
	assert_int_equal(m.nr, 1);
	assert_int_equal(m.module[0].len, sizeof(struct ko));
	modules_free(&m);
}

static void what_is_wrong_is_said(void **state)
{
	static const char *const missing[] = { "none", NULL };
	static const char *const circle[] = { "a", NULL };
	static const char *const deep[] = { "wants", NULL };
	static const char *const text[] = { "text", NULL };
	static const char *const packed[] = { "packed", NULL };
	static const char *const fifo[] = { "fifo", NULL };
	char path[128];
	struct modules m;
	FILE *f;

	put("kernel/a.ko", "b");
	put("kernel/b.ko", "a");
	put("kernel/wants.ko", "gone");
	assert_int_equal(modules_pick(&m, dir, missing), -ENOENT);
	assert_said("no module 'none'");
	assert_int_equal(modules_pick(&m, dir, deep), -ENOENT);
	assert_said("no module 'gone'");
	assert_int_equal(modules_pick(&m, dir, circle), -ELOOP);
	assert_said("in a circle");
	snprintf(path, sizeof(path), "%s/kernel/text.ko", dir);
	f = fopen(path, "we");
	fputs("depends=", f);
	fclose(f);
	assert_int_equal(modules_pick(&m, dir, text), -ENOEXEC);
	assert_said("text.ko' is no kernel module");
	snprintf(path, sizeof(path), "%s/kernel/packed.ko.gz", dir);
	f = fopen(path, "we");
	fputs("no gzip file", f);
	fclose(f);
	assert_int_equal(modules_pick(&m, dir, packed), -EBADMSG);
	assert_said("packed.ko.gz");
	/* None of the folder's files is waited for. */
	snprintf(path, sizeof(path), "%s/modules.builtin", dir);
	assert_int_equal(mkfifo(path, 0644), 0);
	snprintf(path, sizeof(path), "%s/kernel/fifo.ko", dir);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_int_equal(modules_pick(&m, dir, fifo), -EINVAL);
	assert_said("fifo.ko': it is not a regular file");
	assert_int_equal(modules_pick(&m, "/nonexistent", missing), -ENOENT);
	assert_null(m.module);
}

/* Every length, and every byte changed: judged without a step outside (the sanitizers look on). */
static void a_module_is_checked(void **state)
{
	struct ko ko = make("x");
	uint8_t *copy;

	assert_string_equal(module_depends((uint8_t *)&ko, sizeof(ko)), "x");
	for (size_t len = 0; len < sizeof(ko); len++) {
		copy = malloc(len ? len : 1);
		memcpy(copy, &ko, len);
		module_depends(copy, len);
		free(copy);
	}
	for (size_t i = 0; i < offsetof(struct ko, modinfo); i++)
		for (int v = 0; v < 256; v += 51) {
			copy = malloc(sizeof(ko));
			memcpy(copy, &ko, sizeof(ko));
			copy[i] = (uint8_t)v;
			module_depends(copy, sizeof(ko));
			free(copy);
		}
	memset(ko.modinfo, 'x', sizeof(ko.modinfo)); /* a section that ends in no string */
	assert_null(module_depends((uint8_t *)&ko, sizeof(ko)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_comes_behind_what_it_depends_on, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_built_in_is_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(packed_ones_are_unpacked, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(a_module_is_checked, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
