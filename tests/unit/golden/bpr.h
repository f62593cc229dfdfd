/* BPR of 6 pairs.
 * Written by make_golden.py; do not edit. */
static const float bpr_pos[6] = {
    0.705, 2.307, -2.782, -2.806, 0.896, -1.084};
static const float bpr_neg[6] = {
    1.773, -1.461, -2.114, 1.212, 2.343, -0.164};
static const float bpr_y[1] = {
    1.5696189};
static const float bpr_d_pos[6] = {
    -0.12403606, -0.0037627886, -0.11017586, -0.1637215, -0.13492272, -0.11917368};
static const float bpr_d_neg[6] = {
    0.12403606, 0.0037627886, 0.11017586, 0.1637215, 0.13492272, 0.11917368};
