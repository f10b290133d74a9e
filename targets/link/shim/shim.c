/* The entries of a compiled step (astro_abi.h) around the tick that the compiler made for this processor.
 *
 * Every check of a call happens before anything is computed (checks.c). Nothing outside the library is called, and nothing
 * here changes.
 */
#include "checks.h"
#include "clock.h"
#include "fp_mode.h"
#include "shim.h"
#include "team.h"

/* The compiled tick. It may read whole vectors, so every buffer is aligned to ASTRO_ALIGNMENT. With `stamps` that are not
 * NULL it notes the time before each of its kernels (clock.c). */
HIDDEN extern int32_t astroedge_tick(void *inputs, void *outputs, void *state, void *weights, void *workspace,
                                     uint64_t *stamps);

/* A library without a tick for teams refuses them, rather than leave its workers waiting. */
static int team_is_right(const astro_team *team)
{
#ifdef ASTROEDGE_TEAM
    return team == 0 || astroedge_is_team(team);
#else
    return team == 0;
#endif
}

static int32_t check_call(astro_call *call)
{
    int32_t status = start_call(call);
    if (status != ASTRO_OK)
        return status;
    if (!team_is_right(team_of(call)) || device_of(call))
        return ASTRO_E_CALL;
    if (stamps_of(call) && (team_of(call) || astroedge_info.stamps == 0))
        return ASTRO_E_CALL;
    if (!call->inputs || !call->outputs || !call->state || !call->weights || !call->workspace)
        return ASTRO_E_CALL;
    if (!is_aligned((uintptr_t)call->inputs) || !is_aligned((uintptr_t)call->outputs) ||
        !is_aligned((uintptr_t)call->state) || !is_aligned((uintptr_t)call->weights) ||
        !is_aligned((uintptr_t)call->workspace))
        return ASTRO_E_ALIGNMENT;
    return ASTRO_OK;
}

static int32_t tick(astro_call *call, void *inputs, void *outputs)
{
    void *weights = (void *)(uintptr_t)call->weights;
#ifdef ASTROEDGE_TEAM
    astro_team *team = team_of(call);
    if (team)
        return astroedge_tick_together(team, inputs, outputs, call->state, weights, call->workspace);
#endif
    return astroedge_tick(inputs, outputs, call->state, weights, call->workspace, 0);
}

static int32_t timed_tick(astro_call *call, void *inputs, void *outputs, uint64_t *stamps)
{
    void *weights = (void *)(uintptr_t)call->weights;
    int32_t status = astroedge_tick(inputs, outputs, call->state, weights, call->workspace, stamps);
    astroedge_stamp(stamps, (int32_t)astroedge_info.stamps - 1);
    return status;
}

/* All checks are done: compute up to `steps` ticks. */
static int32_t compute(astro_call *call, uint64_t steps, uint64_t input_stride, uint64_t output_stride,
                       const int32_t *stop)
{
    int32_t status = ASTRO_OK;
    uint64_t *stamps = stamps_of(call);
    fp_mode mode_of_caller = read_fp_mode();
    write_fp_mode(FP_MODE_OF_A_STEP);
    while (call->steps_done < steps) {
        if (stop_asked(stop)) {
            status = ASTRO_STOPPED;
            break;
        }
        void *inputs = (uint8_t *)(uintptr_t)call->inputs + call->steps_done * input_stride;
        void *outputs = (uint8_t *)call->outputs + call->steps_done * output_stride;
        if ((stamps ? timed_tick(call, inputs, outputs, stamps + call->steps_done * astroedge_info.stamps)
                    : tick(call, inputs, outputs)) != 0) {
            status = ASTRO_E_TICK;
            break;
        }
        call->steps_done++;
    }
    write_fp_mode(mode_of_caller);
    return status;
}

EXPORTED const astro_info *astro_describe(void)
{
    return &astroedge_info;
}

EXPORTED int32_t astro_step(astro_call *call)
{
    int32_t status = check_call(call);
    if (status == ASTRO_OK)
        status = astroedge_check_step(call);
    if (status == ASTRO_OK)
        status = compute(call, 1, 0, 0, 0);
    return status;
}

int32_t astroedge_check(astro_call *call)
{
    int32_t status = check_call(call);
    return status == ASTRO_OK ? astroedge_check_run(call) : status;
}

int32_t astroedge_compute(astro_call *call)
{
    return compute(call, call->steps, call->input_stride, call->output_stride, call->stop);
}

EXPORTED int32_t astro_run(astro_call *call)
{
    int32_t status = astroedge_check(call);
    return status == ASTRO_OK ? astroedge_compute(call) : status;
}
