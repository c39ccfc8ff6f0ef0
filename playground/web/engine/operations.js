import { planActivation } from "./operations/activation.js"
import { planConvolution } from "./operations/convolution.js"
import { planLinear } from "./operations/linear.js"
import { planBatchNorm, planGroupNorm } from "./operations/normalization.js"
import { planAveragePooling, planGlobalAveragePooling, planMaxPooling } from "./operations/pooling.js"
import { planSum } from "./operations/residual.js"
import { planFlatten, planIdentity, planZeroPadding } from "./operations/shape.js"

/** @import { PlanOperation } from "./types.js" */

/**
 * Operations by the names that layer kinds declare (`JsOperation` in core/layers/shared/calls.py).
 * @type {ReadonlyMap<string, PlanOperation>}
 */
export const OPERATIONS = new Map(
  Object.entries({
    activation: planActivation,
    add: planSum,
    avgPool2d: planAveragePooling,
    batchNorm: planBatchNorm,
    conv2d: planConvolution,
    flatten: planFlatten,
    globalAvgPool: planGlobalAveragePooling,
    groupNorm: planGroupNorm,
    identity: planIdentity,
    linear: planLinear,
    maxPool2d: planMaxPooling,
    zeroPad2d: planZeroPadding,
  }),
)
