/* sampled softmax of 4 positives and [4, 3] negatives, less log q [4] and [3].
 * Written by make_golden.py; do not edit. */
static const float sampled_pos[4] = {
    2.433, -0.62, 0.547, -0.879};
static const float sampled_neg[12] = {
    -2.499, 1.612, 1.215, -2.861, 2.554, 2.157, 2.415, 1.686, -1.005, -1.266, 2.667, 0.992};
static const float sampled_q_pos[4] = {
    -2.477, -2.719, -1.372, -1.614};
static const float sampled_q_neg[3] = {
    -2.121, -1.975, -1.15};
static const float sampled_y[1] = {
    2.5265917};
static const float sampled_d_pos[4] = {
    -0.064795609, -0.23414123, -0.23784814, -0.24553258};
static const float sampled_d_neg[12] = {
    0.00093562552, 0.049326429, 0.014533554, 0.00092748608, 0.18013787, 0.053075876, 0.16641461, 0.06937193, 0.0020615999,
    0.0050370064, 0.22225201, 0.018243556};
