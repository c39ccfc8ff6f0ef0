import type { NetworkDescription } from "./types.js"

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

export type EngineMessage = LoadMessage | RunMessage

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

export interface FailedReply {
  kind: "failed"
  message: string
}

export type EngineReply = LoadedReply | ResultReply | FailedReply
