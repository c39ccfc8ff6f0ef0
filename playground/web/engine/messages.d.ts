import type { ChannelExplanation, NetworkDescription } from "./types.js"

export interface LoadMessage {
  kind: "load"
  content: ArrayBuffer
  mayUseWebAssembly: boolean
}

export interface RunMessage {
  kind: "run"
  /** The image; the buffer is sent back. */
  image: ArrayBuffer
  /** Buffer for the results, sent back with them; another one is made if its size does not fit. */
  results: ArrayBuffer
}

export interface ExplainMessage {
  kind: "explain"
  layerIndex: number
  channel: number
}

export type EngineMessage = LoadMessage | RunMessage | ExplainMessage

export interface LoadedReply {
  kind: "loaded"
  description: NetworkDescription
}

export interface ResultReply {
  kind: "result"
  image: ArrayBuffer
  results: ArrayBuffer
  elapsedMs: number
}

export interface ExplanationReply {
  kind: "explanation"
  layerIndex: number
  channel: number
  explanation: ChannelExplanation
}

export interface FailedReply {
  kind: "failed"
  message: string
}

export type EngineReply = LoadedReply | ResultReply | ExplanationReply | FailedReply
