/*
 * The machine: one recipe, read from top to bottom. The only file that knows the concrete devices and
 * their order.
 */
#include "vmm/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "boot/x86/acpi.h"
#include "boot/boot.h"
#include "devices/pci.h"
#include "devices/power.h"
#include "devices/rtl8139.h"
#include "devices/serial.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/fs.h"
#include "devices/virtio/mmio.h"
#include "devices/virtio/net.h"
#include "devices/virtio/pci.h"
#include "devices/virtio/rng.h"
#include "vmm/arch.h"
#include "vmm/base/jobproto.h"
#include "vmm/console.h"
#include "vmm/ending.h"
#include "vmm/files.h"
#include "vmm/junit.h"
#include "vmm/base/irq.h"
#include "vmm/kvm.h"
#include "vmm/base/log.h"
#include "vmm/base/loop.h"
#include "vmm/x86/entry.h"
#include "vmm/x86/memmap.h"
#include "vmm/sandbox.h"
#include "vmm/signals.h"
#include "vmm/stats.h"
#include "vmm/supervisor.h"
#include "vmm/vcpu.h"
#include "vmm/watchdog.h"

/* Every kind of device that the user can ask for, in the order in which they are made. */
static const struct device_kind *const kinds[] = { &virtio_net_kind, &rtl8139_kind,
						   &virtio_blk_kind, &virtio_rng_kind,
						   &virtio_fs_kind };

/* A device of one of those kinds. */
struct slot {
	struct device *device;
	char name[24];
};

struct machine {
	const struct config *config;
	struct stats *stats;
	struct sandbox sandbox;
	struct pins pins;
	struct guestmem mem;
	struct kvm kvm;
	struct bus pio, mmio;
	struct counters counters;
	struct counter_group log_group;
	struct irqchip *irqchip;
	struct loop *loop; /* the main loop: signals, timer, console */
	struct signals signals;
	struct loop_timer timeout;
	struct watchdog *watchdog;
	struct console *console;
	struct serial *serial;
	struct power *power;
	struct pci_host *pci;
	struct slot slot[CONFIG_MAX_DEVICES];
	unsigned int nr_slots, nr_mmio;
	struct vcpu *vcpu;
	unsigned int nr_vcpus;

	/* With a job: what looks after it, and their way into the guest. */
	struct supervisor *supervisor;
	struct virtio_dev *port;
	struct console_options console_options;

	struct ending ending;
};

/* ---- the end; from any thread ---- */

static void leave(void *arg)
{
	struct machine *m = arg;

	watchdog_end(m->watchdog, m->ending.status);
	for (unsigned int i = 0; i < m->nr_vcpus; i++)
		vcpu_leave(&m->vcpu[i]);
	loop_stop(m->loop);
}

static void end(void *arg, const char *outcome, int status)
{
	ending_say(&((struct machine *)arg)->ending, outcome, status);
}

static void on_power(void *arg, enum power_event what, uint8_t status)
{
	struct machine *m = arg;

	if (what == POWER_STATUS)
		ending_reported(&m->ending, status);
	else
		ending_unreported(&m->ending, what == POWER_OFF ? "power-off" : "reset");
}

static void on_crash(void *arg, struct vcpu *vcpu)
{
	struct machine *m = arg;

	serial_flush(m->serial); /* what the guest said last comes before what we say */
	vcpu_report_crash(vcpu);
	if (vcpu->run_error)
		end(m, "error", STATUS_CANNOT);
	else
		ending_crashed(&m->ending);
}

/* A triple fault that the guest meant as a reset. */
static void on_reset(void *arg)
{
	ending_unreported(&((struct machine *)arg)->ending, "reset");
}

static void on_console_quit(void *arg)
{
	end(arg, "console", STATUS_ENDED);
}

static void on_signal(void *arg, int signo)
{
	struct machine *m = arg;

	switch (signo) {
	case SIGUSR1: /* who has no accounts means the command */
		if (m->supervisor && !m->config->stats)
			supervisor_signal(m->supervisor, SIGUSR1);
		else
			stats_write(m->stats, "running", 0, 0);
		break;
	case SIGTSTP:
		console_pause(m->console);
		supervisor_pause(m->supervisor);
		signals_stop_here();
		/* fall through */
	case SIGCONT:
		console_resume(m->console);
		supervisor_resume(m->supervisor);
		break;
	case SIGWINCH:
		supervisor_resize(m->supervisor);
		break;
	default:
		if (m->supervisor && supervisor_signal(m->supervisor, (uint32_t)signo))
			break;
		end(m, OUTCOME_SIGNAL, STATUS_SIGNAL + signo);
	}
}

static void on_timeout(void *arg)
{
	struct machine *m = arg;
	const uint64_t more = m->supervisor ? supervisor_timeout(m->supervisor) : 0;

	if (more) {
		loop_timer_set(&m->timeout, more * 1000000);
		return;
	}
	log_error("timed out after %llu ms", (unsigned long long)m->config->timeout_ms);
	end(m, OUTCOME_TIMEOUT, STATUS_TIMEOUT);
}

/* ---- building ---- */

static int set_timeout(struct machine *m)
{
	int ret;

	if (!m->config->timeout_ms)
		return 0;
	m->timeout = (struct loop_timer){ .expired = on_timeout, .arg = m };
	ret = loop_timer_init(m->loop, &m->timeout);
	if (ret)
		log_error("cannot set a timer: %s", strerror(-ret));
	else
		loop_timer_set(&m->timeout, m->config->timeout_ms * 1000000);
	return ret;
}

/* With the first PCI function there is a host bridge. */
static int need_pci(struct machine *m)
{
	struct pci_layout layout = MEMMAP_PCI;

	if (m->pci)
		return 0;
	layout.reset_control = power_reset_control(m->power);
	return pci_host_create(&m->pci, &layout, &m->pio, &m->mmio, m->irqchip, &m->counters);
}

static int plug_pci(void *arg, struct pci_func *func)
{
	struct machine *m = arg;
	const int ret = need_pci(m);

	return ret ? ret : pci_host_add(m->pci, func);
}

/*
 * Where there is one CPU, one vector serves all queues: a card's two interrupts, for what was sent and what has come, then
 * are mostly one. With more CPUs each queue has its own, to be spread.
 */
static unsigned int queue_vectors(const struct machine *m, const struct virtio_dev *dev)
{
	return m->config->cpus == 1 ? 1 : dev->nr_vqs;
}

/* Where a virtio device finds its place; see struct device_env. */
static int plug(void *arg, struct virtio_dev *dev, enum device_transport wish)
{
	struct machine *m = arg;
	const uint64_t base = memmap_virtio_mmio_base(m->nr_mmio);

	if ((wish ? wish : m->config->transport) == TRANSPORT_PCI)
		return need_pci(m) ?: virtio_pci_create(dev, m->pci, queue_vectors(m, dev));
	if (m->nr_mmio >= MEMMAP_VIRTIO_MMIO_MAX)
		return log_fail(
			-ENOSPC,
			"too many virtio-mmio devices: at most %u (use transport=pci for the rest)",
			MEMMAP_VIRTIO_MMIO_MAX);
	return virtio_mmio_create(dev, base, memmap_virtio_mmio_gsi(m->nr_mmio++),
				  kvm_window_at(&m->kvm, base), &m->mmio, m->irqchip);
}

static struct device_env device_env(struct machine *m, const char *name)
{
	return (struct device_env){
		.name = name,
		.mem = &m->mem,
		.cpus = m->config->cpus,
		.transport = m->config->transport,
		.guard = &m->pins.guard,
		.counters = &m->counters,
		.plug = plug,
		.plug_pci = plug_pci,
		.arg = m,
	};
}

/* The @n-th device with options of this group, of whichever kind makes it of them. */
static int add_device(struct machine *m, const struct config_device *wanted, unsigned int n)
{
	struct slot *s = &m->slot[m->nr_slots];
	const struct device_env env = device_env(m, s->name);
	int ret = 0;

	snprintf(s->name, sizeof(s->name), "%s%u", wanted->group->name, n);
	for (unsigned int k = 0; !ret && !s->device && k < ARRAY_SIZE(kinds); k++)
		if (kinds[k]->options == wanted->group)
			ret = kinds[k]->create(&s->device, &env, wanted->options);
	m->nr_slots += s->device != NULL;
	return ret;
}

/* ---- a job ---- */

static void on_port_ready(void *arg)
{
	virtio_console_ready(((struct machine *)arg)->port);
}

/* The port through which the agent in the guest and the supervisor speak. */
static int add_port(struct machine *m)
{
	static const struct virtio_console_ops ops = { .output = supervisor_output,
						       .input = supervisor_input };
	struct slot *s = &m->slot[m->nr_slots];
	const struct device_env env = device_env(m, "job");
	const int ret = virtio_console_create(&s->device, &m->port, &env, m->loop, JOB_PORT, &ops,
					      m->supervisor);

	m->nr_slots += s->device != NULL;
	return ret;
}

static int add_supervisor(struct machine *m)
{
	static const struct supervisor_ops ops = { .ready = on_port_ready, .end = end };
	const struct device_env env = device_env(m, "job");
	const int ret = supervisor_create(&m->supervisor, m->config->job, m->loop, &env, &ops, m);

	if (ret)
		return ret;
	m->ending.supervisor = m->supervisor;
	m->console_options = (struct console_options){ .fd = supervisor_console(m->supervisor) };
	return 0;
}

static int add_serial(struct machine *m)
{
	const struct serial_params params = {
		.pio = &m->pio,
		.port = PORT_SERIAL,
		.irqchip = m->irqchip,
		.gsi = GSI_SERIAL,
		.loop = m->loop,
		.counters = &m->counters,
		.out = &console_output(m->console)->sink,
		.on_room = console_room,
		.arg = m->console,
	};

	return serial_create(&m->serial, &params);
}

static int add_console(struct machine *m)
{
	int ret = 0;

	m->console_options = m->config->console;
	if (m->config->job)
		ret = add_supervisor(m);
	if (!ret)
		ret = console_create(&m->console, &m->console_options, m->loop, on_console_quit, m);
	return ret ?: add_serial(m) ?:
		      console_connect(m->console, serial_room, serial_input, m->serial);
}

static int add_devices(struct machine *m)
{
	static const struct power_ports power_ports = MEMMAP_POWER;
	int ret = add_console(m) ?: power_create(&m->power, &m->pio, &power_ports, on_power, m);

	for (const struct option_group *const *g = machine_devices(); *g; g++)
		for (unsigned int i = 0, n = 0; !ret && i < m->config->nr_devices; i++)
			if (m->config->device[i].group == *g)
				ret = add_device(m, &m->config->device[i], n++);
	if (!ret && m->config->job)
		ret = add_port(m);
	return ret;
}

static int load(struct machine *m, struct boot_entry *entry)
{
	const struct acpi_config acpi = {
		.nr_cpus = m->config->cpus,
		.nr_virtio_mmio = m->nr_mmio,
		.serial = true,
		.pci = m->pci != NULL,
	};
	struct boot_source source = {
		.kernel = m->config->kernel,
		.initrd = m->config->initrd,
		.cmdline = m->config->append,
		.initramfs = m->config->job ? m->config->job->initramfs : NULL,
		.initramfs_len = m->config->job ? m->config->job->initramfs_len : 0,
	};
	int ret = acpi_build(&m->mem, &acpi, &source.rsdp);

	return ret ? ret : boot_load(&m->mem, &source, entry);
}

static int add_vcpus(struct machine *m, const struct boot_entry *entry)
{
	const struct vcpu like = {
		.kvm = &m->kvm,
		.mem = &m->mem,
		.pio = &m->pio,
		.mmio = &m->mmio,
		.accounts = &m->counters,
		.crashed = on_crash,
		.reset = on_reset,
		.arg = m,
	};
	const int ret =
		vcpu_create_all(&m->vcpu, &m->nr_vcpus, m->config->cpus, &like, m->stats != NULL);

	return ret ? ret : arch_vcpu_enter_at(&m->vcpu[0], entry);
}

static void init_buses(struct machine *m)
{
	bus_init(&m->pio);
	bus_init(&m->mmio);
	m->pio.kvm_doorbell = kvm_doorbell_pio;
	m->mmio.kvm_doorbell = kvm_doorbell_mmio;
	m->pio.kvm_arg = m->mmio.kvm_arg = &m->kvm;
	counters_add(&m->counters, &m->log_group, log_counter_desc, log_get_counters(), "log");
	bus_add_counters(&m->pio, &m->counters, "pio");
	bus_add_counters(&m->mmio, &m->counters, "mmio");
}

#define MAX_OUTPUTS (CONFIG_MAX_DEVICES + 3u)

static unsigned int list_outputs(struct machine *m, struct output *all[MAX_OUTPUTS])
{
	unsigned int nr = 0;

	all[nr++] = console_output(m->console);
	if (m->supervisor)
		all[nr++] = supervisor_log(m->supervisor);
	for (unsigned int i = 0; i < m->nr_slots; i++)
		all[nr++] = m->slot[i].device->output;
	if (m->stats)
		all[nr++] = stats_output(m->stats);
	return nr;
}

/* Last of all files, and left as they are while something can still go wrong. */
static int open_outputs(struct machine *m, struct files *files)
{
	struct output *all[MAX_OUTPUTS];
	const unsigned int nr = list_outputs(m, all);
	int ret = m->supervisor ? junit_add_file(m->config->job->junit, files) : 0;

	for (unsigned int i = 0; !ret && i < nr; i++)
		ret = files_open_output(files, all[i]);
	return ret;
}

static void begin_outputs(struct machine *m)
{
	struct output *all[MAX_OUTPUTS];
	const unsigned int nr = list_outputs(m, all);

	for (unsigned int i = 0; i < nr; i++)
		files_begin_output(all[i]);
}

static int build(struct machine *m, uint64_t start_ns, void (*give_up)(int status))
{
	static const struct guestmem_hole hole = MEMMAP_HOLE;
	static const struct kvm_window window = MEMMAP_VIRTIO_MMIO;
	struct boot_entry entry;
	struct files files = { .nr = 0 };
	int ret;

	pin_guard(&m->pins, &m->sandbox.guard);
	ret = sandbox_create(&m->sandbox, m->config->sandbox, &m->counters)
		      ?: watchdog_create(&m->watchdog, &m->signals.set, give_up)
		      ?: files_add_inputs(&files, m->config, kinds, ARRAY_SIZE(kinds));
	if (!ret && m->config->stats)
		ret = stats_create(&m->stats, &m->counters, m->config->stats, start_ns);
	if (!ret)
		ret = guestmem_init(&m->mem, m->config->mem, &hole);
	stats_phase(m->stats, PHASE_MEMORY);
	if (!ret)
		ret = kvm_create(&m->kvm, m->config->kvm_fd, &m->mem,
				 config_wants_mmio(m->config) ? &window : NULL);
	m->sandbox.vm_fd = m->kvm.vm_fd;
	if (!ret)
		ret = irqchip_create(&m->irqchip, m->kvm.vm_fd) ?: arch_irq_pins(m->irqchip) ?:
		      loop_create(&m->loop, "main") ?:
		      signals_watch(&m->signals, m->loop, on_signal, m);
	stats_phase(m->stats, PHASE_KVM);
	if (!ret)
		ret = add_devices(m);
	stats_phase(m->stats, PHASE_DEVICES);
	if (!ret)
		ret = load(m, &entry);
	stats_phase(m->stats, PHASE_LOAD);
	if (!ret)
		ret = add_vcpus(m, &entry);
	stats_phase(m->stats, PHASE_VCPUS);
	if (!ret)
		ret = set_timeout(m) ?: open_outputs(m, &files) ?:
		      watchdog_settle(m->watchdog, files.remote, m->config, &m->pins.guard);
	/* What cannot be done is said alone. */
	if (!ret && m->kvm.kernel_mode_emulated && !strcmp(entry.protocol, "linux64"))
		arch_explain_emulation();
	kvm_close_node(&m->kvm);
	for (unsigned int i = 0; !ret && i < m->nr_vcpus; i++)
		ret = vcpu_start(&m->vcpu[i], &m->pins.guard);
	/*
	 * The others have inherited where this thread ran until now. Last comes the sandbox: from here on nothing can be
	 * opened, mapped or started.
	 */
	if (!ret)
		ret = pin_main(&m->pins) ?: sandbox_enter_main(&m->sandbox);
	if (!ret)
		begin_outputs(m);
	return ret;
}

/* ---- running and taking down ---- */

/* In the order of DESIGN: vCPUs, I/O threads, devices in reverse, KVM, memory. */
static void take_down(struct machine *m)
{
	supervisor_destroy(m->supervisor, m->ending.status);
	while (m->nr_slots > 0) {
		struct device *d = m->slot[--m->nr_slots].device;

		d->ops->destroy(d);
	}
	pci_host_destroy(m->pci);
	power_destroy(m->power);
	serial_destroy(m->serial);
	console_destroy(m->console);
	loop_timer_destroy(m->loop, &m->timeout);
	signals_close(&m->signals);
	loop_destroy(m->loop);
	vcpu_destroy_all(m->vcpu, m->nr_vcpus);
	irqchip_destroy(m->irqchip);
	bus_destroy(&m->pio);
	bus_destroy(&m->mmio);
	kvm_destroy(&m->kvm);
	guestmem_destroy(&m->mem);
	sandbox_destroy(&m->sandbox);
	stats_destroy(m->stats);
}

int machine_run(const struct config *config, uint64_t start_ns, void (*give_up)(int status))
{
	struct machine m = {
		.config = config,
		.kvm = { .fd = -1, .vm_fd = -1 },
		.pins = config->pins,
		.ending = { .expect_status = config->expect_status,
			    .over = leave,
			    .arg = &m,
			    .lock = PTHREAD_MUTEX_INITIALIZER,
			    .status = STATUS_CANNOT },
	};
	unsigned int patience;
	int ret;

	signals_block(&m.signals);
	init_buses(&m);
	ret = build(&m, start_ns, give_up);
	if (ret)
		log_otherwise("cannot make the machine: %s", strerror(-ret));

	/* The others wait in KVM for their start-up IPI; the boot processor goes last. */
	for (unsigned int i = ret ? 0 : m.nr_vcpus; i-- > 0;)
		vcpu_go(&m.vcpu[i]);
	if (!ret)
		loop_run(m.loop);
	vcpu_stop_all(m.vcpu, m.nr_vcpus);
	patience = status_patience(m.ending.outcome);
	/* Workers stop before the accounts are closed, so that these are complete. */
	for (unsigned int i = 0; i < m.nr_slots; i++) {
		struct device *d = m.slot[i].device;

		if (d->output)
			d->output->patience_ms = patience;
		d->ops->stop(d);
	}
	if (!ret) {
		serial_finish(m.serial, patience);
		stats_write(m.stats, m.ending.outcome, m.ending.status, patience);
		stats_finish(m.stats);
	}
	take_down(&m);
	if (config->job)
		junit_finish(config->job->junit, m.ending.status, patience);
	watchdog_destroy(m.watchdog);
	log_flush(patience);
	return m.ending.status;
}

const struct option_group *const *machine_devices(void)
{
	static const struct option_group *groups[ARRAY_SIZE(kinds) + 1];

	for (unsigned int k = 0, n = 0; k < ARRAY_SIZE(kinds); k++)
		if (!k || kinds[k]->options != kinds[k - 1]->options)
			groups[n++] = kinds[k]->options;
	return groups;
}
