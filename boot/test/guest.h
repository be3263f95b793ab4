/* A guest without KVM to load kernels into, kernels made by hand, and what the loaders say of them. */
#ifndef BOOT_TEST_GUEST_H
#define BOOT_TEST_GUEST_H

#include <asm/bootparam.h>
#include <elf.h>

#include "boot/boot.h"
#include "vmm/x86/entry.h"

#define GUEST_RSDP 0xe0000ull

struct guest {
	struct guestmem mem; /* with pages behind and before it that fault */
	const char *initrd, *cmdline;
	struct boot_entry entry;
};

/* @size bytes of RAM, all zero. */
void guest_init(struct guest *g, uint64_t size);
void guest_destroy(struct guest *g);
/* All zero again. */
void guest_wipe(struct guest *g);
/* RAM in [from, to) is zero. */
bool guest_is_zero(const struct guest *g, uint64_t from, uint64_t to);
/* boot_load() of a file with these bytes; forgets the last message. */
int guest_load(struct guest *g, const void *kernel, size_t len);
const struct boot_params *guest_zero_page(const struct guest *g);

/* A file that goes away with its descriptor; @path names it. */
int file_with(const void *bytes, size_t len, char path[32]);

/* The last message of log_error(), or "". assert_said() fails unless it holds @part. */
const char *last_message(void);
void forget_message(void);
void assert_said(const char *part);

/* A small valid bzImage: not relocatable, runs at 1 MiB, which is where its code goes. */
#define BZIMAGE_SETUP_LEN 1024u
#define BZIMAGE_CODE_LEN  1024u
#define BZIMAGE_INIT_SIZE 0x8000u
struct bzimage {
	uint8_t before_header[0x1f1];
	struct setup_header h;
	uint8_t setup[BZIMAGE_SETUP_LEN - 0x1f1 - sizeof(struct setup_header)];
	uint8_t code[BZIMAGE_CODE_LEN];
} __attribute__((packed));
void bzimage_make(struct bzimage *image);

/* A small valid ELF kernel: code at 1 MiB with some BSS, data behind it, a PVH note. */
#define ELF_CODE     0x100000ull
#define ELF_CODE_MEM 0x3000ull
#define ELF_DATA     0x104000ull
#define ELF_END	     0x105000ull
#define ELF_ENTRY    0x100080ull
#define ELF_PVH	     0x100040ull
struct elf_note {
	Elf64_Nhdr h;
	char owner[4];
	uint32_t desc[2];
};
struct elf_image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3]; /* code, note, data */
	struct elf_note note;
	uint8_t code[256];
	uint8_t data[64];
};
void elf_make(struct elf_image *image);

#endif
