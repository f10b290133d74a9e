/* What the program says of its step and of a measurement: JSON as profile.schema.json has it, and a few lines. */
#ifndef REPORT_H
#define REPORT_H

#include <stdio.h>

#include "measure.h"

/* One JSON object: what the step is, its sizes, and the fields of a frame. */
void write_info(FILE *file, const astro_session *session);

/* The profile as JSON, the machine's sensors read now. */
void write_profile(FILE *file, const astro_session *session, const request *wanted, const measured *found);

/* The same for people. */
void print_profile(FILE *file, const astro_session *session, const request *wanted, const measured *found);

#endif
