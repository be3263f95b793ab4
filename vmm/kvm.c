/* The host's KVM: opened, checked and explained. */
#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/arch.h"
#include "vmm/base/log.h"

#define KVM_NODE "/dev/kvm"

#define MAX_TRIES 100 /* of a call that is interrupted */

static const struct kvm_need needs[] = {
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP (interrupt chips)" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD (interrupts by eventfd)" },
	{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT (Linux 4.13 or later)" },
	{ 0 },
};

static const char *why_not_open(const char *node, int err)
{
	switch (err) {
	case ENOENT:
		return " (the host has no KVM: load its module, switch virtualisation on in the firmware, or run on bare metal or with nested virtualisation)";
	case EACCES:
		return LOG_OPEN_NODE(node, "/dev/kvm", " (", ")");
	case EPERM:
		return " (" LOG_GIVE_NODE("/dev/kvm") ")";
	case ENODEV:
	case ENXIO:
		return " (the node is there but no KVM module behind it: see dmesg)";
	default:
		return "";
	}
}

int kvm_fail(const char *what)
{
	return log_fail(-errno, "cannot create a virtual machine: %s: %s", what, strerror(errno));
}

static int check_needs(const struct kvm *kvm, const struct kvm_need *need)
{
	for (; need->name; need++)
		if (ioctl(kvm->fd, KVM_CHECK_EXTENSION, need->cap) <= 0)
			return log_fail(-ENOTSUP, "this host's KVM lacks %s, which minivmm needs",
					need->name);
	return 0;
}

int kvm_open(const char *node)
{
	const int fd = open(node, O_RDWR | O_CLOEXEC), err = errno;

	if (fd >= 0)
		return fd;
	return log_fail(-err, "cannot open %s: %s%s", node, strerror(err), why_not_open(node, err));
}

static int open_node(struct kvm *kvm, int fd)
{
	int version, ret;

	kvm->fd = fd < 0 ? kvm_open(KVM_NODE) : fd;
	if (kvm->fd < 0)
		return kvm->fd;
	version = ioctl(kvm->fd, KVM_GET_API_VERSION, 0);
	if (version < 0 && fd < 0)
		return log_fail(-EINVAL, "%s is no KVM: KVM_GET_API_VERSION: %s", KVM_NODE,
				strerror(errno));
	if (version < 0) {
		kvm->fd = -1; /* it may be another descriptor of ours */
		return log_fail(-EINVAL, "fd=%d is not an open %s: %s", fd, KVM_NODE,
				strerror(errno));
	}
	if (version != KVM_API_VERSION)
		return log_fail(
			-ENOTSUP,
			"%s is not a KVM that minivmm can use: its API version is %d, not %d",
			KVM_NODE, version, KVM_API_VERSION);
	ret = check_needs(kvm, needs) ?: check_needs(kvm, arch_needs);
	if (ret)
		return ret;
	kvm->run_size = ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (kvm->run_size < 0)
		return kvm_fail("KVM_GET_VCPU_MMAP_SIZE");
	const int max = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	kvm->max_cpus = max > 0 ? (unsigned int)max : 1;
	kvm->kernel_mode_emulated = arch_kernel_mode_emulated();
	return 0;
}

static int add_slot(const struct kvm *kvm, struct kvm_userspace_memory_region slot)
{
	if (ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
		return kvm_fail("KVM_SET_USER_MEMORY_REGION");
	return 0;
}

static int add_window(struct kvm *kvm, unsigned int slot)
{
	struct kvm_window *w = &kvm->window;

	if (!w->len || ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) <= 0)
		return 0;
	w->host = mmap(NULL, w->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->host == MAP_FAILED) {
		w->host = NULL;
		return kvm_fail("memory for device registers");
	}
	return add_slot(kvm, (struct kvm_userspace_memory_region){
				     .slot = slot,
				     .flags = KVM_MEM_READONLY,
				     .guest_phys_addr = w->gpa,
				     .memory_size = w->len,
				     .userspace_addr = (uint64_t)w->host,
			     });
}

static int add_memory(struct kvm *kvm, const struct guestmem *mem)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < mem->nr_regions; i++)
		ret = add_slot(kvm, (struct kvm_userspace_memory_region){
					    .slot = i,
					    .guest_phys_addr = mem->region[i].gpa,
					    .memory_size = mem->region[i].len,
					    .userspace_addr = (uint64_t)mem->region[i].host,
				    });
	return ret ? ret : add_window(kvm, mem->nr_regions);
}

int kvm_create(struct kvm *kvm, int fd, const struct guestmem *mem, const struct kvm_window *window)
{
	int ret;

	*kvm = (struct kvm){ .fd = -1, .vm_fd = -1 };
	if (window)
		kvm->window = *window;
	ret = open_node(kvm, fd);
	if (ret)
		goto fail;
	/* KVM gives up its threads for any signal, a debugger's too. */
	for (int tries = 0; tries < MAX_TRIES && (!tries || errno == EINTR) && kvm->vm_fd < 0;
	     tries++)
		kvm->vm_fd = ioctl(kvm->fd, KVM_CREATE_VM, 0);
	/*
	 * Memory first: a slot waits for the readers of all that was registered with the VM before it, and the
	 * interrupt chips register much.
	 */
	ret = kvm->vm_fd < 0 ? kvm_fail("KVM_CREATE_VM") : add_memory(kvm, mem);
	if (!ret)
		ret = arch_vm_init(kvm);
	if (!ret) {
		close(kvm->fd); /* all else is asked of the machine and its vCPUs */
		kvm->fd = -1;
		return 0;
	}
fail:
	kvm_destroy(kvm);
	return ret;
}

void kvm_close_node(struct kvm *kvm)
{
	close_fd(kvm->fd);
	kvm->fd = -1;
}

void kvm_destroy(struct kvm *kvm)
{
	arch_vm_destroy(kvm);
	close_fd(kvm->vm_fd);
	kvm->vm_fd = -1;
	if (kvm->window.host)
		munmap(kvm->window.host, kvm->window.len);
	kvm->window.host = NULL;
	kvm_close_node(kvm);
}

static int doorbell(const struct kvm *kvm, const struct bus_doorbell *bell, bool add,
		    uint32_t flags)
{
	struct kvm_ioeventfd req = {
		.addr = bell->addr,
		.fd = bell->fd,
		.flags = flags | (add ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};

	if (bell->value != BUS_DOORBELL_ANY) {
		req.len = 4;
		req.datamatch = bell->value;
		req.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	}
	return ioctl(kvm->vm_fd, KVM_IOEVENTFD, &req) < 0 ? -errno : 0;
}

int kvm_doorbell_mmio(void *arg, const struct bus_doorbell *bell, bool add)
{
	return doorbell(arg, bell, add, 0);
}

int kvm_doorbell_pio(void *arg, const struct bus_doorbell *bell, bool add)
{
	return doorbell(arg, bell, add, KVM_IOEVENTFD_FLAG_PIO);
}
