/* status.h - how every fallible call of Moonshelf answers.
 *
 * A call returns a `moon_status` by value: a code and a message in the caller's storage. Nothing is allocated, nothing is
 * global, and the message lives as long as the caller's variable. The library never prints, exits or aborts. */
#ifndef MOONSHELF_STATUS_H
#define MOONSHELF_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(MOON_BUILD) && defined(__GNUC__)
#define MOON_API __attribute__((visibility("default")))
#else
#define MOON_API
#endif

typedef enum moon_code {
  MOON_OK = 0,
  MOON_EINVAL,    /* the caller's argument is wrong */
  MOON_ENOMEM,    /* no memory, or the budget is spent */
  MOON_EIO,       /* the system refused: file, socket */
  MOON_EFORMAT,   /* bytes from outside do not parse */
  MOON_ENOTFOUND, /* a name that does not exist */
  MOON_ELIMIT,    /* a stated limit was passed */
  MOON_ESCRIPT,   /* a Lua script failed */
  MOON_ECANCELED  /* the caller asked to stop */
} moon_code;

typedef struct moon_status {
  moon_code code;
  char message[500]; /* UTF-8, zero-terminated, empty for MOON_OK; cut with "..." where longer */
} moon_status;

/* Short English name of a code, e.g. "not found". Static storage. */
MOON_API const char *moon_code_name(moon_code code);

#ifdef __cplusplus
}
#endif
#endif
