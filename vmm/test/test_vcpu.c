/* How a vCPU's thread takes what KVM_RUN says: retries that end, resets that are no crashes. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/base/test/messages.h"
#include "vmm/base/test/unit.h"
#include "vmm/vcpu.h"
#include "vmm/x86/memmap.h"

#define VCPU_FD 99

static struct guestmem mem;
static struct kvm_run run;
static struct kvm kvm;
static struct vcpu vcpu;
static int error;	  /* that KVM_RUN fails with */
static unsigned int left; /* times that it still does; then it is told to stop */
static unsigned int runs, crashes, resets;

int ioctl(int fd, unsigned long request, ...)
{
	assert_int_equal(fd, VCPU_FD);
	if (request != KVM_RUN) { /* registers, for a report */
		errno = EIO;
		return -1;
	}
	runs++;
	if (!left) {
		vcpu_leave(&vcpu);
		errno = EINTR;
		return -1;
	}
	left--;
	errno = error;
	return error ? -1 : 0;
}

static void on_crash(void *arg, struct vcpu *v)
{
	assert_ptr_equal(arg, &mem);
	assert_ptr_equal(v, &vcpu);
	crashes++;
}

static void on_reset(void *arg)
{
	assert_ptr_equal(arg, &mem);
	resets++;
}

static int setup(void **state)
{
	const uint16_t none = BOOT_WARM_NONE;

	assert_int_equal(guestmem_init(&mem, 1 * MIB, NULL), 0);
	assert_int_equal(guestmem_write(&mem, BOOT_WARM_WORD, &none, sizeof(none)), 0);
	memset(&run, 0, sizeof(run));
	vcpu = (struct vcpu){ .fd = VCPU_FD,
			      .run = &run,
			      .kvm = &kvm,
			      .mem = &mem,
			      .crashed = on_crash,
			      .reset = on_reset,
			      .arg = &mem,
			      .name = "vcpu" };
	error = 0;
	left = runs = crashes = resets = 0;
	return 0;
}

static int teardown(void **state)
{
	guestmem_destroy(&mem);
	return 0;
}

/* The vCPU's whole life, as number @id; KVM_RUN fails or exits @times times. */
static void live(unsigned int id, unsigned int times)
{
	vcpu.id = id;
	left = times;
	assert_int_equal(vcpu_start(&vcpu, NULL), 0);
	vcpu_go(&vcpu);
	pthread_join(vcpu.thread.id, NULL);
}

static void test_boot_vcpu_does_not_wait_for_a_thread_that_kvm_cannot_have(void **state)
{
	error = EAGAIN;
	live(0, 1000000);
	assert_int_equal(runs, 1);
	assert_int_equal(crashes, 1);
	assert_int_equal(vcpu.run_error, EAGAIN);
	messages_begin();
	vcpu_report_crash(&vcpu);
	assert_non_null(strstr(
		messages_end(),
		"cannot run vCPU 0: KVM_RUN: Resource temporarily unavailable (KVM may start no thread"));
}

static void test_other_vcpus_may_wake_up_before_their_start(void **state)
{
	error = EAGAIN;
	live(1, 5000);
	assert_int_equal(runs, 5001);
	assert_int_equal(crashes, 0);
}

static void test_interruptions_are_no_errors(void **state)
{
	error = EINTR;
	live(0, 5000);
	assert_int_equal(runs, 5001);
	assert_int_equal(vcpu.counters.interrupted, 5001);
	assert_int_equal(crashes, 0);
}

static void test_every_other_error_is_final(void **state)
{
	static const int errors[] = { ENOMEM, EFAULT, EINVAL, ENOEXEC, EIO, EBADF, EPERM };

	for (unsigned int id = 0; id < 2; id++)
		for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++) {
			runs = crashes = 0;
			vcpu.stop = false;
			error = errors[i];
			live(id, 10);
			assert_int_equal(runs, 1);
			assert_int_equal(crashes, 1);
			assert_int_equal(vcpu.run_error, errors[i]);
		}
	assert_int_equal(resets, 0);
}

static void test_triple_fault_is_a_crash(void **state)
{
	run.exit_reason = KVM_EXIT_SHUTDOWN;
	live(0, 10);
	assert_int_equal(runs, 1);
	assert_int_equal(crashes, 1);
	assert_int_equal(resets, 0);
	assert_int_equal(vcpu.run_error, 0);
}

static void test_triple_fault_of_a_guest_that_said_how_it_starts_again_is_a_reset(void **state)
{
	static const uint16_t words[] = { 0, 0x1234, 1, 0xfffe };

	run.exit_reason = KVM_EXIT_SHUTDOWN;
	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++) {
		assert_int_equal(guestmem_write(&mem, BOOT_WARM_WORD, &words[i], 2), 0);
		runs = resets = 0;
		live(i % 2, 10);
		assert_int_equal(runs, 1);
		assert_int_equal(resets, 1);
	}
	assert_int_equal(crashes, 0);
}

static void test_other_exits_are_crashes_whatever_the_guest_said(void **state)
{
	static const uint32_t reasons[] = { KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_FAIL_ENTRY,
					    KVM_EXIT_UNKNOWN, 12345 };
	static const uint16_t warm = 0x1234;

	assert_int_equal(guestmem_write(&mem, BOOT_WARM_WORD, &warm, sizeof(warm)), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(reasons); i++) {
		run.exit_reason = reasons[i];
		live(0, 10);
	}
	assert_int_equal(crashes, ARRAY_SIZE(reasons));
	assert_int_equal(resets, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_boot_vcpu_does_not_wait_for_a_thread_that_kvm_cannot_have),
		TEST(test_other_vcpus_may_wake_up_before_their_start),
		TEST(test_interruptions_are_no_errors),
		TEST(test_every_other_error_is_final),
		TEST(test_triple_fault_is_a_crash),
		TEST(test_triple_fault_of_a_guest_that_said_how_it_starts_again_is_a_reset),
		TEST(test_other_exits_are_crashes_whatever_the_guest_said),
	};

	return cmocka_run_group_tests_name("vcpu", tests, NULL, NULL);
}
