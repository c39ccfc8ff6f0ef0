import { EngineError } from "./engine_error.js"

/** @import { NetworkFile, Program, Tensor } from "./types.js" */

const SCHEMA = "1"
const DAMAGED = "The network file is damaged:"
const RELOAD = "Load it again."

/**
 * Convert the bits of an IEEE 754 half-precision number.
 * @param {number} bits
 * @returns {number}
 */
export function decodeHalf(bits) {
  const sign = bits >= 0x80_00 ? -1 : 1
  const exponent = Math.floor(bits / 0x4_00) % 0x20
  const fraction = bits % 0x4_00
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1 + fraction / 0x4_00) * 2 ** (exponent - 15)
}

/**
 * Read float32 or float16 values, which need not be aligned.
 * @param {string} type "F32" or "F16"
 * @param {Uint8Array} bytes
 * @returns {Float32Array}
 */
function readFloats(type, bytes) {
  const copy = new Uint8Array(bytes).buffer // `slice` of a Node Buffer would not copy
  if (type === "F32") return new Float32Array(copy)
  return Float32Array.from(new Uint16Array(copy), decodeHalf)
}

/**
 * Read one tensor of a safetensors file.
 * @param {string} name
 * @param {{ dtype: string, shape: number[], data_offsets: [number, number] }} entry
 * @param {Uint8Array} data
 * @returns {Tensor}
 */
function readTensor(name, { dtype, shape, data_offsets: [start, end] }, data) {
  if (dtype !== "F32" && dtype !== "F16") {
    throw new EngineError(`The weights "${name}" have the type ${dtype}.`, { expected: "F32 or F16." })
  }
  const count = shape.reduce((product, size) => product * size, 1)
  const isComplete = start >= 0 && end <= data.length && end - start === count * (dtype === "F32" ? 4 : 2)
  if (!isComplete) throw new EngineError(`${DAMAGED} the weights "${name}" are incomplete.`, { fix: RELOAD })
  const values = readFloats(dtype, data.subarray(start, end))
  if (!values.every(Number.isFinite)) {
    throw new EngineError(`The weights "${name}" contain NaN or infinity.`, {
      expected: "finite weights.",
      fix: "Choose an earlier step of the run.",
    })
  }
  return { shape, values }
}

/**
 * Read the JSON header of a safetensors file.
 * @param {Uint8Array} bytes
 * @returns {{ header: Record<string, any>, data: Uint8Array }}
 */
function readHeader(bytes) {
  if (bytes.length < 8) throw new EngineError(`${DAMAGED} it has ${bytes.length} bytes.`, { fix: RELOAD })
  const size = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
  const end = 8 + size
  if (end > bytes.length) throw new EngineError(`${DAMAGED} its header is incomplete.`, { fix: RELOAD })
  try {
    return { header: JSON.parse(new TextDecoder().decode(bytes.subarray(8, end))), data: bytes.subarray(end) }
  } catch (cause) {
    throw new EngineError(`${DAMAGED} its header is not JSON.`, { fix: RELOAD, cause })
  }
}

/**
 * Read a network file, written by `encode_network` in web/network_file.py; throws an EngineError if it cannot be used.
 * @param {ArrayBuffer | Uint8Array} content
 * @returns {NetworkFile}
 */
export function readNetworkFile(content) {
  const { header, data } = readHeader(content instanceof Uint8Array ? content : new Uint8Array(content))
  const { __metadata__: metadata, ...entries } = header
  if (metadata?.schema !== SCHEMA || !metadata.program) {
    throw new EngineError(`The network file has schema ${metadata?.schema ?? "none"}.`, {
      expected: `schema ${SCHEMA}.`,
      fix: "Reload the page.",
    })
  }
  /** @type {Program} */
  const program = JSON.parse(metadata.program)
  const tensors = new Map(Object.entries(entries).map(([name, entry]) => [name, readTensor(name, entry, data)]))
  return { architecture: metadata.architecture, program, programText: metadata.program, tensors }
}
