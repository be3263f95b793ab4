/* Attributes in messages of the kernel's rtnetlink. */
#ifndef DEVICES_NET_RTATTR_H
#define DEVICES_NET_RTATTR_H

#include <linux/rtnetlink.h>
#include <stddef.h>

/* The first of that type among @len bytes of them, or NULL. */
static inline const struct rtattr *rtattr_find(const void *at, int len, unsigned short type)
{
	for (const struct rtattr *a = at; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == type)
			return a;
	return NULL;
}

/* The same within @a, which may be NULL. */
static inline const struct rtattr *rtattr_find_in(const struct rtattr *a, unsigned short type)
{
	return a ? rtattr_find(RTA_DATA(a), (int)RTA_PAYLOAD(a), type) : NULL;
}

#endif
