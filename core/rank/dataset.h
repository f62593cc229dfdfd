/* dataset.h - what the files behind moon_dataset_new share. */
#ifndef MOON_RANK_DATASET_H
#define MOON_RANK_DATASET_H
#include "rank/rank.h"

/* Replays the log in time order: for every example its inputs and popularity as they were just before it; then the states of the data
 * set. Plan, features, split and `known` are there already. */
moon_status moon_replay(moon_dataset *dataset, const moon_progress *progress);

/* The example's row in the inputs; MOON_NONE: they were not laid out. */
static inline size_t moon_dataset_row(const moon_dataset *dataset, size_t example) { return dataset->row ? dataset->row[example] : example; }

/* What events say of themselves: the columns of the plan's positions. Zero-initialise to start. */
typedef struct moon_positions {
  const moon_column **columns;
  float *values;
  size_t n;
} moon_positions;
moon_status moon_positions_find(const moon_dataset *dataset, moon_positions *out);
void moon_positions_free(moon_positions *positions);
/* [n] of an event, until the next call. */
const float *moon_positions_of(const moon_positions *positions, const moon_event *event);

/* Parts the examples and the events as train's "split" says. */
moon_status moon_split(moon_dataset *dataset, const json_t *train, bool spare_test);
/* What could be known when the judged part began; after the split. */
moon_status moon_list_known(moon_dataset *dataset, const json_t *train);
/* training: [log->n] 1 where the event belongs to the training part; owned by the caller. After the split. */
moon_status moon_list_training(const moon_dataset *dataset, uint8_t **training);

/* MOON_EINVAL, at the label's line, where all of n examples are successes or none is and the plan's loss wants both. what: of the message. */
moon_status moon_check_classes(const json_t *plan, const char *what, size_t positives, size_t n);

/* Adds the label's "negatives" to every positive training example, and where train's loss compares to those that validate; after the split, before the replay. "sampling": {"by":"popularity",
 * "power"} draws items by how many training examples have them, to that power; {"by":"batch"} from the other positives of the same batch,
 * train's "batch" of them one after the other in the log; without it evenly. "unseen":true draws nothing that the user has among
 * the positive training examples. By train's "seed". */
moon_status moon_add_negatives(moon_dataset *dataset, const json_t *label, const json_t *train);

/* What the features learn of the training part: vocabularies, before the replay; numbers that steps are fitted to, after it. */
moon_status moon_learn_texts(moon_dataset *dataset, const moon_dataset_options *options);
moon_status moon_learn_numbers(moon_dataset *dataset);

/* The vectors of an embedding file, [n, dim] of f32, and their ids in the vocabulary, in the file's order. */
moon_status moon_vectors_read(const moon_feature *feature, const char *data_dir, moon_vocab *vocab, moon_tensor **out);
/* The same of the texts of the items that are listed, by a checkpoint. Reports progress as "embed". */
moon_status moon_vectors_encode(const moon_feature *feature, const moon_catalogue *catalogue, const char *data_dir, const moon_progress *progress,
                                moon_vocab *vocab, moon_tensor **out);

/* The items without a row: columns as the plan declares them, and else as these features need them. */
moon_status moon_draw_items(const json_t *plan, const json_t *features, moon_catalogue **out);

/* A feature's words in a row of inputs, of which there are *n; none of one that is inside a formula. To compare bits (parity.c). */
const uint32_t *moon_input_words(const moon_feature_plan *plan, const moon_feature *feature, const moon_inputs *inputs, size_t row, size_t *n);

#endif
