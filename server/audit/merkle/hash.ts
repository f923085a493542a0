import { hash } from 'node:crypto'
import { ProofError } from './error.js'

export const HASH_BYTES = 32

/** 2^48 entries are 89 years at 100,000 a second, and leave every sum and doubling here an exact number. */
export const MAX_SIZE = 2 ** 48

/** Longest entry body in bytes: C2SP tlog-tiles prefixes entries with a 16-bit length. */
export const MAX_BODY_BYTES = 65_535

// One-shot hashing of a buffer that is kept saves a hash object and an update per hash: measured 1.2 times
// as fast for leaves and 1.4 times for nodes.
const leafInput = Buffer.alloc(1 + MAX_BODY_BYTES)
const nodeInput = Buffer.alloc(1 + 2 * HASH_BYTES, 1)

/** SHA-256(0x00 ‖ body), RFC 9162 section 2.1.1. Throws `entry_too_large`. */
export function leafHash(body: Uint8Array): Buffer {
  if (body.length > MAX_BODY_BYTES) {
    throw new ProofError('entry_too_large', `An entry body has ${body.length} bytes.`)
  }
  leafInput.set(body, 1)
  return hash('sha256', leafInput.subarray(0, 1 + body.length), 'buffer')
}

/** SHA-256(0x01 ‖ left ‖ right), RFC 9162 section 2.1.1. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  checkHash(left)
  checkHash(right)
  nodeInput.set(left, 1)
  nodeInput.set(right, 1 + HASH_BYTES)
  return hash('sha256', nodeInput, 'buffer')
}

/** The root of the tree without entries: SHA-256 of nothing. */
export const emptyRoot = (): Buffer => hash('sha256', '', 'buffer')

/** The root over neighbouring subtrees, largest and leftmost first. */
export function foldPeaks(peaks: readonly Buffer[]): Buffer {
  return peaks.length === 0 ? emptyRoot() : peaks.reduceRight((right, left) => nodeHash(left, right))
}

export function checkHash(value: Uint8Array): void {
  if (value.length !== HASH_BYTES) {
    throw new ProofError('hash_length', `A hash has ${value.length} bytes instead of ${HASH_BYTES}.`)
  }
}

/** Throws `size_range` unless `size` is a whole number from `least` to `MAX_SIZE`. */
export function checkSize(size: number, least = 0): void {
  if (!Number.isSafeInteger(size) || size < least || size > MAX_SIZE) {
    throw new ProofError('size_range', `The tree size ${size} is not a whole number from ${least} to 2^48.`)
  }
}

/** Throws `index_range` unless `index` is a whole number below `size`. */
export function checkIndex(index: number, size: number): void {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new ProofError('index_range', `The index ${index} is not in a tree of ${size}.`)
  }
}

/** A size or index in its one decimal form; undefined for anything else, also beyond `MAX_SIZE`. */
export function parseDecimal(text: string): number | undefined {
  if (!/^(0|[1-9]\d{0,14})$/.test(text)) return undefined
  const value = Number(text)
  return value <= MAX_SIZE ? value : undefined
}

/** Bytes in their one base64 form (RFC 4648 section 4, padded); undefined for anything else. */
export function parseBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/** Halves without the 32-bit limit of `>>`. */
export const half = (value: number): number => Math.floor(value / 2)
