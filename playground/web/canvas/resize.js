// ITU-R BT.601, as in engine/data/batch.py.
const RED_WEIGHT = 0.299
const GREEN_WEIGHT = 0.587
const BLUE_WEIGHT = 0.114

/** @typedef {{ first: number, weights: Float64Array }} Filter Weights of the pixels that one output pixel depends on. */

/**
 * Compute the filters of one axis: bilinear interpolation with antialiasing, as PyTorch's `interpolate` has it.
 * @param {number} inputSize
 * @param {number} outputSize
 * @returns {Filter[]}
 */
export function computeFilters(inputSize, outputSize) {
  const scale = inputSize / outputSize
  const support = Math.max(scale, 1)
  return Array.from({ length: outputSize }, (_, index) => {
    const center = scale * (index + 0.5)
    const first = Math.max(Math.floor(center - support + 0.5), 0)
    const end = Math.min(Math.floor(center + support + 0.5), inputSize)
    const weights = Float64Array.from({ length: end - first }, (__, offset) =>
      Math.max(0, 1 - Math.abs(first + offset - center + 0.5) / support),
    )
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    return { first, weights: weights.map((weight) => weight / total) }
  })
}

/**
 * Resizes images to the input shape of a network, by way of bytes; color becomes luminance where the network has no
 * color, and gray is repeated. The twin of `resize_to_input` in interpret/drawing/preprocess.py; pixels are equal to
 * within 1/255.
 */
export class ImageResizer {
  /** @type {readonly number[]} */
  #inputShape
  /** @type {readonly number[]} */
  #outputShape
  /** @type {Filter[]} */
  #rows
  /** @type {Filter[]} */
  #columns
  /** @type {Float32Array} bytes of one channel */
  #channel
  /** @type {Float32Array} */
  #narrowed
  /** @type {Float32Array} */
  #image

  /**
   * @param {readonly number[]} inputShape (channels, height, width)
   * @param {readonly number[]} outputShape
   */
  constructor(inputShape, outputShape) {
    const [, inputHeight, inputWidth] = inputShape
    const [channels, height, width] = outputShape
    this.#inputShape = inputShape
    this.#outputShape = outputShape
    this.#rows = computeFilters(inputHeight, height)
    this.#columns = computeFilters(inputWidth, width)
    this.#channel = new Float32Array(inputHeight * inputWidth)
    this.#narrowed = new Float32Array(inputHeight * width)
    this.#image = new Float32Array(channels * height * width)
  }

  /**
   * Resize an image, values 0 to 1. An image that has the network's shape is returned unchanged.
   * @param {Float32Array} image
   * @returns {Float32Array} valid until the next call
   */
  resize(image) {
    const [inputChannels] = this.#inputShape
    const [channels, height, width] = this.#outputShape
    if (this.#inputShape.join() === this.#outputShape.join()) return image
    const isLuminance = inputChannels === 3 && channels !== 3
    const count = channels === inputChannels && !isLuminance ? channels : 1
    for (let channel = 0; channel < count; channel++) {
      this.#readChannel(image, channel, isLuminance)
      this.#resizeChannel(channel * height * width)
    }
    for (let channel = count; channel < channels; channel++) {
      this.#image.copyWithin(channel * height * width, 0, height * width)
    }
    return this.#image
  }

  /**
   * Read a channel, or the luminance, as bytes.
   * @param {Float32Array} image
   * @param {number} channel
   * @param {boolean} isLuminance
   * @returns {void}
   */
  #readChannel(image, channel, isLuminance) {
    const size = this.#channel.length
    for (let index = 0; index < size; index++) {
      if (isLuminance) {
        const red = roundHalfEven(image[index] * 255)
        const green = roundHalfEven(image[size + index] * 255)
        const blue = roundHalfEven(image[2 * size + index] * 255)
        this.#channel[index] = RED_WEIGHT * red + GREEN_WEIGHT * green + BLUE_WEIGHT * blue
      } else {
        this.#channel[index] = roundHalfEven(image[channel * size + index] * 255)
      }
    }
  }

  /**
   * Resize the channel that was read, first along the rows, then along the columns.
   * @param {number} target
   * @returns {void}
   */
  #resizeChannel(target) {
    const [, inputHeight, inputWidth] = this.#inputShape
    const [, height, width] = this.#outputShape
    for (let row = 0; row < inputHeight; row++) {
      for (let column = 0; column < width; column++) {
        const { first, weights } = this.#columns[column]
        const start = row * inputWidth + first
        let sum = 0
        for (let index = 0; index < weights.length; index++) sum += weights[index] * this.#channel[start + index]
        this.#narrowed[row * width + column] = sum
      }
    }
    for (let row = 0; row < height; row++) {
      const { first, weights } = this.#rows[row]
      for (let column = 0; column < width; column++) {
        let sum = 0
        for (let index = 0; index < weights.length; index++) {
          sum += weights[index] * this.#narrowed[(first + index) * width + column]
        }
        this.#image[target + row * width + column] = roundHalfEven(sum) / 255
      }
    }
  }
}

/**
 * Round to the nearest integer, halves to the even one.
 * @param {number} value 0 or more
 * @returns {number}
 */
export function roundHalfEven(value) {
  const low = Math.floor(value)
  const rest = value - low
  if (rest === 0.5) return low + (low % 2)
  return rest > 0.5 ? low + 1 : low
}
