/** @import { Slot } from "./types.js" */

const ALIGNMENT = 8 // values: 32 bytes
const FIRST_OFFSET = 256 // the first 1024 bytes belong to the WebAssembly module

/**
 * Round up to a multiple of the alignment.
 * @param {number} count
 * @returns {number}
 */
function align(count) {
  return Math.ceil(count / ALIGNMENT) * ALIGNMENT
}

/**
 * Add a slot to a region.
 * @param {Slot[]} region
 * @param {number} count
 * @returns {Slot}
 */
function addSlot(region, count) {
  const slot = { offset: 0, count }
  region.push(slot)
  return slot
}

/**
 * Place slots one after the other.
 * @param {Slot[]} region
 * @param {number} start
 * @returns {number} the end
 */
function placeSlots(region, start) {
  let offset = start
  for (const slot of region) {
    slot.offset = offset
    offset += align(slot.count)
  }
  return offset
}

/**
 * Layout of the heap: values that are kept, scratch that all operations share, and the results of the layers, which
 * lie together so that they can be copied at once.
 */
export class HeapLayout {
  /** @type {Slot[]} */
  #kept = []
  /** @type {Slot[]} */
  #results = []
  /** @type {Slot[]} */
  #scratch = []

  /**
   * Reserve values that keep their content.
   * @param {number} count
   * @returns {Slot}
   */
  reserve(count) {
    return addSlot(this.#kept, count)
  }

  /**
   * Reserve values among the results.
   * @param {number} count
   * @returns {Slot}
   */
  reserveResult(count) {
    return addSlot(this.#results, count)
  }

  /**
   * Reserve values that any operation may overwrite.
   * @param {number} count
   * @returns {Slot}
   */
  reserveScratch(count) {
    return addSlot(this.#scratch, count)
  }

  /**
   * Assign the offsets.
   * @returns {{ total: number, resultStart: number, resultCount: number }} in values
   */
  complete() {
    const scratchStart = placeSlots(this.#kept, FIRST_OFFSET)
    for (const slot of this.#scratch) slot.offset = scratchStart
    const resultStart = scratchStart + align(Math.max(0, ...this.#scratch.map(({ count }) => count)))
    const total = placeSlots(this.#results, resultStart)
    return { total, resultStart, resultCount: total - resultStart }
  }
}
