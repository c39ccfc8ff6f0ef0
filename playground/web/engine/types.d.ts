type ChannelArithmetic = import("../views/arithmetic.js").ChannelArithmetic

/** (channels, height, width) of feature maps, or (features,) of a vector. */
export type Shape = readonly number[]

/** An operation of the program (`compile_program` in web/program.py); the other keys are its attributes. */
export interface OperationSpec {
  name: string
  /** Prefix of the names of its tensors. */
  module: string
  body?: OperationSpec[]
  shortcut?: OperationSpec[]
  [attribute: string]: unknown
}

export interface LayerSpec {
  /** Index among all layers of the architecture, disabled ones included. */
  index: number
  kind: string
  title: string
  outputShape: number[]
  /** Name of the activation function that the last operation applies, or "none". */
  activation: string
  /** Index of the operation that explains the layer's values. */
  explainedOperation: number
  operations: OperationSpec[]
}

export interface Program {
  inputShape: number[]
  classes: number
  layers: LayerSpec[]
}

export interface Tensor {
  shape: number[]
  values: Float32Array
}

/** Content of a network file (web/network_file.py). */
export interface NetworkFile {
  /** Canonical JSON of the architecture. */
  architecture: string
  program: Program
  /** JSON of the program: files with equal texts differ in weights only. */
  programText: string
  tensors: Map<string, Tensor>
}

/** A range of the heap. `offset`, in values, is known when the layout is complete. */
export interface Slot {
  offset: number
  readonly count: number
}

/** Sizes of a convolution of maps that are already padded. */
export interface ConvolutionSizes {
  channels: number
  height: number
  width: number
  outChannels: number
  outHeight: number
  outWidth: number
  kernelSize: number
  stride: number
  dilation: number
  groups: number
}

/** Matrix kernels on one heap of float32 values; offsets are in values. Weights are packed by `packRows`. */
export interface Kernels {
  /**
   * Convolve padded maps. `panel` is scratch of channels / groups · kernelSize² · 8 values.
   * @param slots offsets of input, output, weights, bias, panel
   */
  convolve: (slots: ConvolutionOffsets, sizes: ConvolutionSizes) => void
  /** Multiply a matrix (rows, columns) by a vector and add the bias. */
  multiply: (slots: MultiplicationOffsets, rows: number, columns: number) => void
}

export interface MultiplicationOffsets {
  input: number
  output: number
  weights: number
  bias: number
}

export interface ConvolutionOffsets extends MultiplicationOffsets {
  panel: number
}

/** The heap and the kernels that work on it; both exist once the plan is complete. */
export interface Machine {
  heap: Float32Array
  kernels: Kernels
}

/** Layout of the heap while operations are planned. */
export interface Layout {
  /** Reserve values that keep their content: weights, intermediate results. */
  reserve: (count: number) => Slot
  /** Reserve values that any operation may overwrite while it runs. */
  reserveScratch: (count: number) => Slot
}

/** A tensor that the program needs. */
export interface TensorRequirement {
  name: string
  shape: Shape
  isOptional: boolean
}

/** One output channel of an operation and all that its values are computed from, without copies of the weights. */
export interface ChannelSource extends Omit<ChannelArithmetic, "input"> {
  /** Where each input channel lies in the heap. */
  inputOffsets: number[]
  /** Channel of the operation's input at which `input` begins. */
  firstInputChannel: number
}

/** A copy of the same with its values. */
export type ChannelExplanation = Omit<ChannelSource, "inputOffsets"> & Pick<ChannelArithmetic, "input">

/** What an operation is planned from. */
export interface PlanContext {
  spec: OperationSpec
  input: Slot
  inputShape: Shape
  /** Shape of the maps that the input was before it was flattened; the input's shape if it was not. */
  mapShape: Shape
  layout: Layout
  machine: Machine
  /** Reserve the output. */
  reserveOutput: (count: number) => Slot
  /** State that `<module>.<name>` is needed, and return a function that finds its values in loaded tensors. */
  requireTensor: (
    name: string,
    shape: Shape,
    isOptional?: boolean,
  ) => (tensors: Map<string, Tensor>) => Float32Array | null
  /** Plan operations in sequence. */
  planSequence: (specs: OperationSpec[], input: Slot, inputShape: Shape) => PlannedSequence
}

export interface PlannedOperation {
  outputShape: Shape
  /** The input itself if the operation only changes the shape. */
  output: Slot
  /** Set if only the shape changes: the shape before. */
  mapShape?: Shape
  /** Prepare the weights; runs once for every network file. */
  load?: (tensors: Map<string, Tensor>) => void
  /** Compute the output; nothing is allocated. */
  run?: () => void
  /** Say what the values of an output channel are computed from. */
  explain: (channel: number) => ChannelSource
}

export type PlannedSequence = Required<Pick<PlannedOperation, "outputShape" | "output" | "load" | "run">>

export type PlanOperation = (context: PlanContext) => PlannedOperation

/** A layer's place in the results. */
export interface LayerLayout {
  index: number
  kind: string
  title: string
  activation: string
  outputShape: number[]
  /** Offset of the output among the results, in values. */
  outputOffset: number
  /** Offset of the values before the activation; null for a layer without one. */
  preActivationOffset: number | null
  preActivationShape: number[] | null
}

/** Meaning of the results of a network. */
export interface NetworkDescription {
  architecture: string
  inputShape: number[]
  classes: number
  layers: LayerLayout[]
  /** Number of values of all layers. */
  resultCount: number
  hasWebAssembly: boolean
}
