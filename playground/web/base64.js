/**
 * Decode base64 to bytes.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function decodeBytes(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}

/**
 * Decode base64 to little-endian float32 values.
 * @param {string} text
 * @returns {Float32Array<ArrayBuffer>}
 */
export function decodeFloats(text) {
  return new Float32Array(decodeBytes(text).buffer)
}
