import { decodeBytes } from "../base64.js"
import { KERNELS_BINARY } from "./kernels_binary.js"

/** @import { Kernels } from "./types.js" */

const VALUE_BYTES = 4
const PAGE_VALUES = 0x40_00

/** @typedef {{ convolve: (...values: number[]) => void, multiply: (...values: number[]) => void }} WasmExports */

/** @type {WebAssembly.Module | null} */
let compiled = null

/**
 * Compile kernels.ts once.
 * @returns {WebAssembly.Module}
 */
function compile() {
  compiled ??= new WebAssembly.Module(decodeBytes(KERNELS_BINARY))
  return compiled
}

/**
 * Create a heap of `count` values and the kernels in WebAssembly; throws where there is no WebAssembly with SIMD.
 * @param {number} count
 * @returns {{ heap: Float32Array, kernels: Kernels }}
 */
export function createWasmMachine(count) {
  const memory = new WebAssembly.Memory({ initial: Math.ceil(count / PAGE_VALUES) })
  const { exports } = new WebAssembly.Instance(compile(), { env: { memory } })
  const { convolve, multiply } = /** @type {WasmExports} */ (/** @type {unknown} */ (exports))
  return {
    heap: new Float32Array(memory.buffer),
    kernels: {
      convolve: (offsets, sizes) => {
        convolve(
          offsets.input * VALUE_BYTES,
          offsets.output * VALUE_BYTES,
          offsets.weights * VALUE_BYTES,
          offsets.bias * VALUE_BYTES,
          offsets.panel * VALUE_BYTES,
          sizes.channels,
          sizes.height,
          sizes.width,
          sizes.outChannels,
          sizes.outHeight,
          sizes.outWidth,
          sizes.kernelSize,
          sizes.stride,
          sizes.dilation,
          sizes.groups,
        )
      },
      multiply: (offsets, rows, columns) => {
        multiply(
          offsets.input * VALUE_BYTES,
          offsets.output * VALUE_BYTES,
          offsets.weights * VALUE_BYTES,
          offsets.bias * VALUE_BYTES,
          rows,
          columns,
        )
      },
    },
  }
}
