import { EngineError } from "./engine_error.js"
import { HeapLayout } from "./heap_layout.js"
import { OPERATIONS } from "./operations.js"

/** @import { ChannelSource, LayerLayout, LayerSpec, Machine, OperationSpec, PlannedOperation } from "./types.js" */
/** @import { PlanContext, PlannedSequence, Program, Shape, Slot, Tensor, TensorRequirement } from "./types.js" */

const MAX_HEAP_VALUES = 2 ** 28 // 1 GiB

/**
 * @typedef {object} Plan A program with its place in the heap.
 * @property {number} heapSize in values
 * @property {Slot} input
 * @property {number} resultStart the results of all layers lie from here to `resultStart + resultCount`
 * @property {number} resultCount
 * @property {LayerLayout[]} layers
 * @property {(tensors: Map<string, Tensor>) => void} load check the tensors and prepare the weights
 * @property {() => void} run compute all layers from the input
 * @property {(layerIndex: number, channel: number) => ChannelSource} explain say what a channel's values come from
 */

/** @typedef {Pick<PlannedOperation, "output" | "outputShape" | "mapShape">} PlannedOutput */

/**
 * Check that tensors are those of the program; throws an EngineError that names the first difference.
 * @param {TensorRequirement[]} requirements
 * @param {Map<string, Tensor>} tensors
 * @returns {void}
 */
function checkTensors(requirements, tensors) {
  const fix = "Use the weights of this network."
  for (const { name, shape, isOptional } of requirements) {
    const tensor = tensors.get(name)
    if (!(tensor || isOptional)) throw new EngineError(`The weights "${name}" are missing.`, { fix })
    if (tensor && tensor.shape.join() !== shape.join()) {
      throw new EngineError(`The weights "${name}" have the shape ${tensor.shape.join("×")}.`, {
        expected: `${shape.join("×")}.`,
        fix,
      })
    }
  }
  const known = new Set(requirements.map(({ name }) => name))
  const unknown = [...tensors.keys()].find((name) => !known.has(name))
  if (unknown) throw new EngineError(`The weights "${unknown}" belong to no layer of the network.`, { fix })
}

/** Planner of one program: every operation reserves its part of the heap. */
class Planner {
  layout = new HeapLayout()
  /** @type {TensorRequirement[]} */
  requirements = []
  /** @type {Machine} */
  machine

  /** @param {Machine} machine */
  constructor(machine) {
    this.machine = machine
  }

  /**
   * Plan one operation.
   * @param {OperationSpec} spec
   * @param {Pick<PlanContext, "input" | "inputShape" | "mapShape" | "reserveOutput">} place
   * @returns {PlannedOperation}
   */
  planOperation(spec, place) {
    const plan = OPERATIONS.get(spec.name)
    if (!plan) {
      throw new EngineError(`The operation "${spec.name}" is unknown.`, {
        expected: `one of ${[...OPERATIONS.keys()].join(", ")}.`,
        fix: "Reload the page.",
      })
    }
    return plan({
      ...place,
      spec,
      layout: this.layout,
      machine: this.machine,
      planSequence: (specs, input, inputShape) => this.planSequence(specs, input, inputShape),
      requireTensor: (name, shape, isOptional = false) => {
        const fullName = `${spec.module}.${name}`
        this.requirements.push({ name: fullName, shape, isOptional })
        return (tensors) => tensors.get(fullName)?.values ?? null
      },
    })
  }

  /**
   * Plan operations, each of which reads the output of the one before.
   * @param {OperationSpec[]} specs
   * @param {PlannedOutput} below
   * @param {(count: number) => Slot} reserveOutput
   * @returns {PlannedOperation[]}
   */
  planOperations(specs, below, reserveOutput) {
    /** @type {PlannedOperation[]} */
    const planned = []
    let last = below
    for (const spec of specs) {
      const { output, outputShape, mapShape = outputShape } = last
      const operation = this.planOperation(spec, { input: output, inputShape: outputShape, mapShape, reserveOutput })
      planned.push(operation)
      last = operation
    }
    return planned
  }

  /**
   * Plan operations in sequence, the results of which are not shown.
   * @param {OperationSpec[]} specs
   * @param {Slot} input
   * @param {Shape} inputShape
   * @returns {PlannedSequence}
   */
  planSequence(specs, input, inputShape) {
    const operations = this.planOperations(specs, { output: input, outputShape: inputShape }, (count) =>
      this.layout.reserve(count),
    )
    const last = operations.at(-1) ?? { output: input, outputShape: inputShape }
    return {
      output: last.output,
      outputShape: last.outputShape,
      load: (tensors) => {
        for (const operation of operations) operation.load?.(tensors)
      },
      run: () => {
        for (const operation of operations) operation.run?.()
      },
    }
  }

  /**
   * Plan a layer; the outputs of its operations are results.
   * @param {LayerSpec} layer
   * @param {PlannedOutput} below
   * @returns {PlannedOperation[]}
   */
  planLayer({ index, title, operations, outputShape }, below) {
    const planned = this.planOperations(operations, below, (count) => this.layout.reserveResult(count))
    const last = planned.at(-1) ?? below
    if (last.outputShape.join() !== outputShape.join()) {
      throw new EngineError(`Layer ${index + 1} (${title}) gives ${last.outputShape.join("×")} values.`, {
        expected: `${outputShape.join("×")}.`,
        fix: "Reload the page.",
      })
    }
    return planned
  }
}

/**
 * Plan a program: lay out the heap and prepare the operations, which work on `machine` once it has a heap.
 * Throws an EngineError for a program that this engine cannot run.
 * @param {Program} program
 * @param {Machine} machine
 * @returns {Plan}
 */
export function buildPlan({ inputShape, layers }, machine) {
  const planner = new Planner(machine)
  const input = planner.layout.reserveResult(inputShape.reduce((product, size) => product * size, 1))
  /** @type {PlannedOutput} */
  let last = { output: input, outputShape: inputShape }
  const plannedLayers = layers.map((layer) => {
    const operations = planner.planLayer(layer, last)
    last = getLayerOutput(operations)
    return { layer, operations, output: last.output }
  })
  const { total, resultStart, resultCount } = planner.layout.complete()
  if (total > MAX_HEAP_VALUES) {
    throw new EngineError(`This network needs ${Math.ceil(total / 2 ** 18)} MB in the browser.`, {
      expected: `at most ${MAX_HEAP_VALUES / 2 ** 18} MB.`,
      fix: "Use the server for this network.",
    })
  }
  const operations = plannedLayers.flatMap((planned) => planned.operations)
  return {
    heapSize: total,
    input,
    resultStart,
    resultCount,
    layers: plannedLayers.map((planned) => describeLayer(planned, resultStart)),
    load: (tensors) => {
      checkTensors(planner.requirements, tensors)
      for (const operation of operations) operation.load?.(tensors)
    },
    run: () => {
      for (const operation of operations) operation.run?.()
    },
    explain: (layerIndex, channel) => {
      const found = plannedLayers.find((planned) => planned.layer.index === layerIndex)
      if (!(found && channel >= 0 && channel < found.layer.outputShape[0])) {
        throw new EngineError(`Layer ${layerIndex + 1} has no channel ${channel + 1}.`)
      }
      return found.operations[found.layer.explainedOperation].explain(channel)
    },
  }
}

/**
 * Get the output of a layer. Only a layer that changes nothing but the shape passes on the shape of the maps.
 * @param {PlannedOperation[]} operations
 * @returns {PlannedOutput}
 */
function getLayerOutput(operations) {
  const { output, outputShape, mapShape } = /** @type {PlannedOperation} */ (operations.at(-1))
  const isView = operations.every((operation) => operation.mapShape)
  return mapShape && isView ? { output, outputShape, mapShape } : { output, outputShape }
}

/**
 * Describe the results of a layer.
 * @param {{ layer: LayerSpec, operations: PlannedOperation[], output: Slot }} planned
 * @param {number} resultStart
 * @returns {LayerLayout}
 */
function describeLayer({ layer, operations, output }, resultStart) {
  const before = layer.activation === "none" ? undefined : operations.at(-2)
  return {
    index: layer.index,
    kind: layer.kind,
    title: layer.title,
    activation: layer.activation,
    outputShape: layer.outputShape,
    outputOffset: output.offset - resultStart,
    preActivationOffset: before ? before.output.offset - resultStart : null,
    preActivationShape: before ? [...before.outputShape] : null,
  }
}
