/* binary cross-entropy of 7 logits with weights and positive weight 2.5.
 * Written by make_golden.py; do not edit. */
static const float bce_z[7] = {
    1.276, 2.343, 2.498, 1.325, 3.968, 1.064, -2.768};
static const float bce_t[7] = {
    1, 0, 1, 0, 0, 1, 0};
static const float bce_w[7] = {
    0.969, 0.074, 0.93, 0.99, 0.043, 0.879, 0.318};
static const float bce_y[1] = {
    0.47824154};
static const float bce_d_z[7] = {
    -0.075523819, 0.00964512, -0.025242361, 0.11173032, 0.0060288444, -0.080537054, 0.0026838333};
