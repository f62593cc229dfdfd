/* condition.h - a condition as it was read: for condition.c, which asks it of one item, and for allowed.c, which lays out all rows. */
#ifndef MOON_PAGE_CONDITION_H
#define MOON_PAGE_CONDITION_H

#include "page/page.h"

typedef enum moon_compare {
  MOON_COMPARE_LT,
  MOON_COMPARE_LE,
  MOON_COMPARE_GT,
  MOON_COMPARE_GE,
  MOON_COMPARE_EQ,
  MOON_COMPARE_NE,
  MOON_COMPARE_IN,
  MOON_COMPARE_HAS,
  MOON_COMPARE_TRUTHY,
  MOON_COMPARES
} moon_compare;

typedef struct moon_parts { /* which texts of a column have which part */
  moon_dict *names;
  size_t *start;   /* [parts + 1] */
  uint32_t *codes; /* those of part p are [start[p], start[p + 1]), rising */
} moon_parts;

typedef struct moon_clause {
  size_t column; /* index into the catalogue's table */
  moon_compare op;
  double *numbers; /* [count] sorted; one for lt, le, gt, ge, which may be NaN: then there is none */
  uint32_t *codes; /* [count] sorted, of a column of strings */
  size_t count;
  char *param;       /* the value is this parameter of the request, and what is above where it has none; NULL: always as above */
  bool optional;     /* without the parameter it holds */
  moon_parts *parts; /* of has with a parameter */
} moon_clause;

struct moon_condition {
  size_t n;
  moon_clause terms[];
};

/* condition_ask.c: "NL | BE" has the parts NL and BE. */
bool moon_has_part(const char *text, const char *part, size_t n);
moon_status moon_parts_new(const moon_dict *texts, moon_parts **out);
void moon_parts_free(moon_parts *parts);

#endif
