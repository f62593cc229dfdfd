/* dataset.h - what the files behind moon_dataset_new share. */
#ifndef MOON_RANK_DATASET_H
#define MOON_RANK_DATASET_H
#include "rank/rank.h"

/* Replays the log in time order: for every example its inputs and popularity as they were just before it; then the states of the data
 * set. Plan, features, split and `known` are there already. */
moon_status moon_replay(moon_dataset *dataset, const moon_progress *progress);

/* Adds `each` sampled negatives to every positive training example; after the split, before the replay. */
moon_status moon_add_negatives(moon_dataset *dataset, size_t each, uint64_t seed);

/* What the features learn of the training part: vocabularies, before the replay; numbers that steps are fitted to, after it. */
moon_status moon_learn_texts(moon_dataset *dataset, const char *data_dir);
moon_status moon_learn_numbers(moon_dataset *dataset);

/* The vectors of an embedding file, [n, dim] of f32, and their ids in the vocabulary, in the file's order. */
moon_status moon_vectors_read(const moon_feature *feature, const char *data_dir, moon_vocab *vocab, moon_tensor **out);

#endif
