/* KVM's binary statistics (the kernel's Documentation/virt/kvm/api.rst, 4.133). */
#include "vmm/kvm_stats.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/base/log.h"

#define MAX_STATS 256u /* more than any KVM has; bounds what we believe of its header */

struct kvm_stats {
	int fd;
	struct kvm_stats_header header;
	uint8_t *raw;		   /* KVM's descriptors, each with its name */
	struct counter_desc *desc; /* of those with a single value */
	uint64_t *value;	   /* header.num_desc of them: what desc points into */
	off_t *at;		   /* where in the file each is */
	unsigned int nr;
	struct counter_group group;
};

static void refresh(struct counter_group *group)
{
	struct kvm_stats *s = container_of(group, struct kvm_stats, group);

	for (unsigned int i = 0; i < s->nr; i++)
		if (pread(s->fd, &s->value[i], sizeof(s->value[i]), s->at[i]) !=
		    sizeof(s->value[i]))
			s->value[i] = 0;
}

static bool read_descriptors(struct kvm_stats *s)
{
	const size_t stride = sizeof(struct kvm_stats_desc) + s->header.name_size;
	const size_t len = stride * s->header.num_desc;

	s->raw = malloc(len);
	s->desc = calloc(s->header.num_desc + 1, sizeof(*s->desc));
	s->value = calloc(s->header.num_desc, sizeof(*s->value));
	s->at = calloc(s->header.num_desc, sizeof(*s->at));
	if (!s->raw || !s->desc || !s->value || !s->at ||
	    pread(s->fd, s->raw, len, s->header.desc_offset) != (ssize_t)len)
		return false;
	for (uint32_t i = 0; i < s->header.num_desc; i++) {
		struct kvm_stats_desc *d = (struct kvm_stats_desc *)(s->raw + i * stride);

		if (d->size != 1) /* a histogram */
			continue;
		d->name[s->header.name_size - 1] = '\0';
		s->desc[s->nr] =
			(struct counter_desc){ .name = d->name,
					       .offset = s->nr * (uint32_t)sizeof(*s->value) };
		s->at[s->nr++] = (off_t)s->header.data_offset + d->offset;
	}
	return true;
}

void kvm_stats_create(struct kvm_stats **out, struct counters *counters, int vcpu_fd,
		      unsigned int id)
{
	struct kvm_stats *s = calloc(1, sizeof(*s));

	*out = NULL;
	if (!s)
		return;
	s->fd = ioctl(vcpu_fd, KVM_GET_STATS_FD, NULL);
	if (s->fd < 0 || pread(s->fd, &s->header, sizeof(s->header), 0) != sizeof(s->header) ||
	    !s->header.num_desc || s->header.num_desc > MAX_STATS || !s->header.name_size ||
	    s->header.name_size > MAX_STATS || !read_descriptors(s)) {
		log_info("this host's KVM keeps no statistics that can be read");
		kvm_stats_destroy(s);
		return;
	}
	s->group.refresh = refresh;
	counters_add(counters, &s->group, s->desc, s->value, "kvm.vcpu%u", id);
	*out = s;
}

void kvm_stats_destroy(struct kvm_stats *s)
{
	if (!s)
		return;
	counters_remove(&s->group);
	close_fd(s->fd);
	free(s->raw);
	free(s->desc);
	free(s->value);
	free(s->at);
	free(s);
}
