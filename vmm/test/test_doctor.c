/* `minivmm doctor` on hosts made of a few files, each good but for one thing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/base/test/messages.h"
#include "vmm/base/test/parent.h"
#include "vmm/base/test/unit.h"
#include "vmm/doctor.h"

#define RELEASE "0.0-test"

static char root[64], path[96], text[16384];
static int native_is; /* what the vCPU of the test's host does */
static unsigned int landlock_is;
static bool seccomp_is;

static int native(int fd)
{
	close(fd);
	if (native_is < 0)
		log_error("cannot create a virtual machine: it is a test");
	return native_is;
}

static unsigned int landlock(void)
{
	return landlock_is;
}

static bool seccomp(void)
{
	return seccomp_is;
}

static void shell(const char *command)
{
	char line[1024];

	snprintf(line, sizeof(line), "cd %s && %s", root, command);
	assert_int_equal(system(line), 0);
}

/* A host on which all is well, with a card. */
static int setup(void **state)
{
	uint8_t header[0x300] = { 0 };
	FILE *f;

	strcpy(root, "/tmp/test_doctor.XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "/nonexistent:%s/bin", root);
	shell("mkdir -p boot bin dev/net proc/net lib/modules/" RELEASE
	      " && touch dev/kvm dev/net/tun dev/vhost-net && printf '#!/bin/sh\\n' >bin/passt && chmod +x bin/passt");
	shell("printf 'kernel/%s.ko\\n' virtio_pci virtio_mmio virtio_console virtiofs overlay virtio_net"
	      " >lib/modules/" RELEASE "/modules.builtin");
	shell("printf 'MemTotal: 9 kB\\nMemAvailable:  2097152 kB\\n' >proc/meminfo");
	shell("printf 'Iface Destination Gateway Flags RefCnt Use Metric Mask\\nlo 0000007F 0 0001 0 0 0 000000FF\\n"
	      "eth7 00000000 0100000A 0003 0 0 0 00000000\\n' >proc/net/route");
	memcpy(header + 0x202, "HdrS", 4);
	header[0x20e] = 0x80; /* its version stands at 0x280 */
	strcpy((char *)header + 0x280, RELEASE " (someone) #1");
	snprintf(text, sizeof(text), "%s/boot/vmlinuz-" RELEASE, root);
	f = fopen(text, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(header, sizeof(header), 1, f), 1);
	assert_int_equal(fclose(f), 0);
	native_is = 1;
	landlock_is = 3;
	seccomp_is = true;
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

#define MOST_MEMORY (3ull << 30) /* that a job is to have */

/* Its lines are in @text; words parted by spaces, '@' stands for the root. Nothing else is said. */
static int examine(const char *options)
{
	const struct doctor_host host = { .root = root,
					  .release = RELEASE,
					  .path = path,
					  .kernel_mode_native = native,
					  .landlock = landlock,
					  .seccomp = seccomp };
	char words[256], *to = words, *argv[16] = { "doctor" };
	FILE *f = fmemopen(text, sizeof(text), "w");
	int argc = 1, status;

	need_memory(MOST_MEMORY);
	assert_non_null(f);
	for (; *options; options++)
		if (*options == '@')
			to = stpcpy(to, root);
		else
			*to++ = *options;
	*to = '\0';
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	messages_begin();
	status = doctor_main(&host, f, argc, argv);
	assert_string_equal(messages_end(), "");
	assert_int_equal(fclose(f), 0);
	return status;
}

/* The one line on @name, without that: "ok /path"; columns of blanks are one. */
static const char *line(const char *name)
{
	static char found[1200];
	const size_t len = strlen(name);

	*found = '\0';
	for (const char *at = text; *at; at = strchr(at, '\n') + 1) {
		char word[8];
		int n;

		if (sscanf(at, "%7s %n", word, &n) != 1 || strncmp(at + n, name, len) ||
		    at[n + len] != ' ')
			continue;
		assert_string_equal(found, "");
		n += (int)(len + strspn(at + n + len, " "));
		snprintf(found, sizeof(found), "%s %.*s", word, (int)strcspn(at + n, "\n"), at + n);
	}
	return found;
}

static void a_host_on_which_all_is_well(void **state)
{
	assert_int_equal(examine(""), 0);
	assert_null(strstr(text, "FAIL"));
	assert_string_equal(line("kvm"), "ok a vCPU of it runs a kernel's code on the processor");
	assert_non_null(strstr(line("kernel"), "/boot/vmlinuz-" RELEASE " is " RELEASE));
	assert_string_equal(line("virtiofs"), "ok module or built in");
	assert_string_equal(line("memory"), "ok 1024 MiB, of 2048 that are free");
	assert_non_null(strstr(line("passt"), "/bin/passt"));
	assert_string_equal(line("route"), "ok by eth7");
	assert_string_equal(line("sandbox"), "ok seccomp, and version 3 of Landlock");
	assert_string_equal(line("vhost_net"), "ok the host's kernel can move a card's frames");
	assert_int_equal(examine("--net passt --mem 2G"), 0);
}

/* Limits that are none. In a container its own cgroup may be seen where the first one is. */
#define CGROUP_2                                                                     \
	"mkdir -p proc/self sys/fs/cgroup/a/b && echo 0::/a/b >proc/self/cgroup && " \
	"echo max >sys/fs/cgroup/a/b/memory.max"
#define CGROUP_1                                                                                        \
	"mkdir -p proc/self sys/fs/cgroup/memory && printf '5:pids:/\\n4:cpu,memory:/box/1\\n0::/\\n' " \
	">proc/self/cgroup && echo 9223372036854771712 >sys/fs/cgroup/memory/memory.limit_in_bytes"

static void a_cgroup_without_a_limit(void **state)
{
	shell(CGROUP_2);
	assert_int_equal(examine(""), 0);
	shell(CGROUP_1);
	assert_int_equal(examine(""), 0);
}

/* Without each of them no job runs. */
static void what_every_job_needs(void **state)
{
	static const struct {
		const char *breaks, *name, *options, *says;
	} bad[] = {
		{ "rm dev/kvm", "kvm", "", "No such file or directory (the host has no KVM" },
		{ "rm dev/kvm && ln -s kvm dev/kvm", "kvm", "", "cannot open " },
		{ "rm boot/vmlinuz*", "kernel", "", "(say --kernel FILE" },
		{ "true", "kernel", "--kernel @/none", "cannot open kernel" },
		{ "echo text >boot/vmlinuz-" RELEASE, "kernel", "",
		  "it is too short for a kernel" },
		{ ": >boot/vmlinuz-" RELEASE, "kernel", "", "it is empty" },
		{ "sed -i /overlay/d lib/modules/" RELEASE "/modules.builtin", "overlay", "",
		  "no module 'overlay'" },
		{ "sed -i /virtio_pci/d lib/modules/" RELEASE
		  "/modules.builtin && echo >lib/modules/" RELEASE "/virtio-pci.ko",
		  "virtio_pci", "", "is no kernel module" },
		{ "sed -i /virtiofs/d lib/modules/" RELEASE
		  "/modules.builtin && echo text >lib/modules/" RELEASE "/virtiofs.ko.gz",
		  "virtiofs", "", "it is damaged, says gzip" },
		{ "true", "memory", "--mem 3G",
		  "2048 MiB are free, and a job gets 3072 (give it less: minivmm run --mem 1024M)" },
		{ CGROUP_2 " && echo 536870912 >sys/fs/cgroup/a/memory.max", "memory", "",
		  "this cgroup may have 512 MiB, and a job gets 1024: one that uses them is killed (raise the limit, or give it less: minivmm run --mem 256M)" },
		{ CGROUP_1 " && echo 536870912 >sys/fs/cgroup/memory/memory.limit_in_bytes",
		  "memory", "", "this cgroup may have 512 MiB" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		teardown(state);
		setup(state);
		shell(bad[i].breaks);
		assert_int_equal(examine(bad[i].options), 125);
		if (strncmp(line(bad[i].name), "FAIL ", 5) ||
		    !strstr(line(bad[i].name), bad[i].says))
			fail_msg("after '%s': %s", bad[i].breaks, text);
	}
}

static void kvm_that_cannot_run_a_kernel(void **state)
{
	native_is = 0;
	assert_int_equal(examine(""), 125);
	assert_non_null(strstr(line("kvm"), "FAIL KVM emulates a guest's kernel mode"));
	native_is = -EIO;
	assert_int_equal(examine(""), 125);
	assert_string_equal(line("kvm"), "FAIL cannot create a virtual machine: it is a test");
}

/* A program that unpacks modules is the host's, and is named with its package. */
static void compressed_modules_without_their_program(void **state)
{
	char *saved = strdup(getenv("PATH"));

	need_memory(MOST_MEMORY);
	shell("sed -i /virtiofs/d lib/modules/" RELEASE
	      "/modules.builtin && echo >lib/modules/" RELEASE "/virtiofs.ko.xz");
	setenv("PATH", "/nonexistent", 1);
	assert_int_equal(examine(""), 125);
	setenv("PATH", saved, 1);
	free(saved);
	assert_non_null(strstr(line("virtiofs"), "has no xz (sudo apt-get install xz-utils)"));
}

/* As packages have them: in /lib or /usr/lib beside /boot, or with the kernel among them. */
static void modules_lie_where_packages_have_them(void **state)
{
	shell("mkdir -p k/boot k/lib k/usr/lib && cp boot/* k/boot && mv lib/modules k/lib");
	assert_int_equal(examine("--kernel @/k/boot/vmlinuz-" RELEASE), 0);
	assert_non_null(strstr(line("modules"), "/k/boot/../lib/modules/" RELEASE));
	shell("mv k/lib/modules k/usr/lib");
	assert_int_equal(examine("--kernel @/k/boot/vmlinuz-" RELEASE), 0);
	assert_non_null(strstr(line("modules"), "/k/boot/../usr/lib/modules/" RELEASE));
	shell("mv k/boot/vmlinuz* k/usr/lib/modules/" RELEASE "/vmlinuz");
	assert_int_equal(examine("--kernel @/k/usr/lib/modules/" RELEASE "/vmlinuz"), 0);
	assert_non_null(strstr(line("modules"), "/k/usr/lib/modules/" RELEASE "/."));
	assert_string_equal(line("virtiofs"), "ok module or built in");
}

static void the_hosts_kernel_may_lie_among_its_modules(void **state)
{
	shell("mv boot/vmlinuz* lib/modules/" RELEASE "/vmlinuz");
	assert_int_equal(examine(""), 0);
	assert_non_null(strstr(line("kernel"), "/lib/modules/" RELEASE "/vmlinuz is " RELEASE));
	assert_string_equal(line("virtiofs"), "ok module or built in");
}

/* Where the folder of modules is missing they may be built in, which nobody can tell. */
static void no_folder_of_modules_is_no_verdict(void **state)
{
	shell("rm -r lib/modules");
	assert_int_equal(examine(""), 0);
	assert_non_null(strstr(line("modules"), "note no folder of modules for " RELEASE));
	assert_string_equal(line("virtio_pci"), "");
}

/* What is missing fails where it was asked for, and is only noted elsewhere. */
static void what_only_a_network_needs(void **state)
{
	static const struct {
		const char *breaks, *name, *needed_by, *not_by, *says;
	} bad[] = {
		{ "rm bin/passt", "passt", "passt", "tap0", "(sudo apt-get install passt)" },
		{ "chmod -x bin/passt", "passt", "passt", "none", "(sudo apt-get install passt)" },
		{ "sed -i /eth7/d proc/net/route", "route", "passt", "none",
		  "(sudo ip route add default" },
		{ "sed -i s/0003/0002/ proc/net/route", "route", "passt", "none",
		  "no default route" },
		{ "sed -i s/0003/0201/ proc/net/route", "route", "passt", "none",
		  "no default route" }, /* an unreachable one */
		{ "sed -i 's/00000000$/00000080/' proc/net/route", "route", "passt", "none",
		  "no default route" }, /* one half of all addresses */
		{ "rm proc/net/route", "route", "passt", "none", "no default route" },
		{ "rm dev/net/tun", "tap", "tap9", "passt", "(sudo modprobe tun)" },
		{ "true", "tap", "tap9", "none", "(sudo ip tuntap add tap" },
		{ "sed -i /virtio_net/d lib/modules/" RELEASE "/modules.builtin", "virtio_net",
		  "passt", "none", "no module 'virtio_net'" },
	};
	char options[32];

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		teardown(state);
		setup(state);
		shell(bad[i].breaks);
		snprintf(options, sizeof(options), "--net %s", bad[i].needed_by);
		assert_int_equal(examine(options), 125);
		if (strncmp(line(bad[i].name), "FAIL ", 5) ||
		    !strstr(line(bad[i].name), bad[i].says))
			fail_msg("after '%s': %s", bad[i].breaks, text);
		snprintf(options, sizeof(options), "--net %s", bad[i].not_by);
		examine(options);
		if (strncmp(line(bad[i].name), "note ", 5) ||
		    !strstr(line(bad[i].name), bad[i].says) ||
		    !strstr(line(bad[i].name), "; for --net "))
			fail_msg("after '%s', without need: %s", bad[i].breaks, text);
	}
}

/* The tap of the test's host cannot be opened, and the message has its name. */
static void the_tap_is_named_as_for_run(void **state)
{
	static const struct {
		const char *options, *says;
	} nets[] = {
		{ "--net tap9", "FAIL cannot open tap tap9: " },
		{ "--net tap9,ip=10.0.0.2/24,gw=10.0.0.1", "FAIL cannot open tap tap9: " },
		{ "--net mtu=9000,tap=tap9", "FAIL cannot open tap tap9: " },
		{ "--net bridge=br0", "FAIL cannot make a tap: " },
		{ "--net tap=tap9,bridge=br0", "FAIL cannot open tap tap9: " },
		{ "--net fd=3", "ok not needed: --net fd=3 is none" },
		{ "--net macvtap=eth0", "ok not needed" },
		{ "--net a234567890123456", "FAIL bad value 'a234567890123456' for tap: expected" },
		{ "--net passt,ip=10.0.0.2/24", "FAIL --net passt,ip=10.0.0.2/24: passt has no" },
		{ "--net none,", "FAIL --net none,: none has no keys" },
		{ "--net tap=a/b", "FAIL bad value 'a/b' for tap: expected" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(nets); i++) {
		examine(nets[i].options);
		if (strncmp(line("tap"), nets[i].says, strlen(nets[i].says)))
			fail_msg("%s: %s", nets[i].options, line("tap"));
	}
}

static void a_kernel_without_a_sandbox_is_noted(void **state)
{
	landlock_is = 0;
	assert_int_equal(examine(""), 0);
	assert_non_null(strstr(line("sandbox"), "note this host's kernel has no Landlock, so"));
	seccomp_is = false;
	assert_int_equal(examine(""), 0);
	assert_non_null(strstr(line("sandbox"), "no Landlock and no seccomp"));
	landlock_is = 1;
	assert_int_equal(examine(""), 0);
	assert_non_null(strstr(line("sandbox"), "no seccomp"));
}

static void no_vhost_is_noted(void **state)
{
	shell("rm dev/vhost-net");
	assert_int_equal(examine(""), 0);
	assert_non_null(strstr(line("vhost_net"), "note cannot open"));
	assert_non_null(strstr(line("vhost_net"), "(sudo modprobe vhost_net); for --net"));
}

static void help_and_bad_words(void **state)
{
	const struct doctor_host host = { .root = root };
	char *argv[] = { "doctor", "--kernal", "x" };

	assert_int_equal(examine("--help"), 0);
	assert_non_null(strstr(text, "--kernel FILE"));
	program_invocation_short_name = (char *)"minivmm";
	messages_begin();
	assert_int_equal(doctor_main(&host, stdout, 3, argv), 125);
	argv[1] = "x";
	assert_int_equal(doctor_main(&host, stdout, 2, argv), 125);
	assert_string_equal(
		messages_end(),
		"minivmm: unknown option 'kernal' (the nearest is 'kernel'; see --help)\n"
		"minivmm: unexpected argument 'x' (options start with --; see minivmm doctor --help)\n");
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_host_on_which_all_is_well),
		test(a_cgroup_without_a_limit),
		test(what_every_job_needs),
		test(kvm_that_cannot_run_a_kernel),
		test(compressed_modules_without_their_program),
		test(modules_lie_where_packages_have_them),
		test(the_hosts_kernel_may_lie_among_its_modules),
		test(no_folder_of_modules_is_no_verdict),
		test(what_only_a_network_needs),
		test(the_tap_is_named_as_for_run),
		test(a_kernel_without_a_sandbox_is_noted),
		test(no_vhost_is_noted),
		test(help_and_bad_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
