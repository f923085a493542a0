import { createHash } from 'node:crypto'
import { type Checkpoint, signCheckpoint } from '../../../server/audit/merkle/checkpoint.js'
import { CompactRange } from '../../../server/audit/merkle/compact.js'
import { ProofError, type ProofErrorCode } from '../../../server/audit/merkle/error.js'
import { growTiles } from '../../../server/audit/merkle/grow.js'
import { generateSignerKey, parseSignerKey, parseVerifierKey } from '../../../server/audit/merkle/keys.js'
import type { ReadHash } from '../../../server/audit/merkle/proof.js'
import type { ReadFile } from '../../../server/audit/merkle/tiles.js'

export const ORIGIN = 'writ.example/log'

export const signer = parseSignerKey(generateSignerKey(ORIGIN))
export const keys = [parseVerifierKey(signer.verifierKey)]

// --- RFC 9162 section 2.1 word for word, recursive, sharing nothing with the code under test ---------

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

export const leafOf = (body: Uint8Array): Buffer => sha256(Buffer.from([0]), body)
const nodeOf = (left: Uint8Array, right: Uint8Array): Buffer => sha256(Buffer.from([1]), left, right)

const largestBelow = (n: number): number => 2 ** Math.floor(Math.log2(n - 1))

/** MTH over leaf hashes. */
export function treeHash(leaves: readonly Buffer[]): Buffer {
  const [first] = leaves
  if (first === undefined) return sha256()
  if (leaves.length === 1) return first
  const k = largestBelow(leaves.length)
  return nodeOf(treeHash(leaves.slice(0, k)), treeHash(leaves.slice(k)))
}

/** PATH(m, D[n]). */
export function pathOf(m: number, leaves: readonly Buffer[]): Buffer[] {
  if (leaves.length === 1) return []
  const k = largestBelow(leaves.length)
  return m < k
    ? [...pathOf(m, leaves.slice(0, k)), treeHash(leaves.slice(k))]
    : [...pathOf(m - k, leaves.slice(k)), treeHash(leaves.slice(0, k))]
}

/** SUBPROOF(m, D[n], b). */
export function subproofOf(m: number, leaves: readonly Buffer[], b = true): Buffer[] {
  if (m === leaves.length) return b ? [] : [treeHash(leaves)]
  const k = largestBelow(leaves.length)
  return m <= k
    ? [...subproofOf(m, leaves.slice(0, k), b), treeHash(leaves.slice(k))]
    : [...subproofOf(m - k, leaves.slice(k), false), treeHash(leaves.slice(0, k))]
}

/** The root a path leads to, by the definition of PATH; undefined when the path does not fit. */
export function rootByPath(leaf: Buffer, m: number, n: number, path: readonly Buffer[]): Buffer | undefined {
  if (n === 1) return path.length === 0 ? leaf : undefined
  const last = path.at(-1)
  if (last === undefined) return undefined
  const k = largestBelow(n)
  const inner = rootByPath(leaf, m < k ? m : m - k, m < k ? k : n - k, path.slice(0, -1))
  if (inner === undefined) return undefined
  return m < k ? nodeOf(inner, last) : nodeOf(last, inner)
}

/** Old and new root that a consistency proof leads to, by the definition of SUBPROOF. */
export function rootsBySubproof(
  m: number,
  n: number,
  path: readonly Buffer[],
  old: Buffer,
  b = true,
): readonly [Buffer, Buffer] | undefined {
  const last = path.at(-1)
  if (m === n) {
    if (b) return path.length === 0 ? [old, old] : undefined
    return path.length === 1 && last !== undefined ? [last, last] : undefined
  }
  if (last === undefined) return undefined
  const k = largestBelow(n)
  const rest = path.slice(0, -1)
  if (m <= k) {
    const inner = rootsBySubproof(m, k, rest, old, b)
    return inner && [inner[0], nodeOf(inner[1], last)]
  }
  const inner = rootsBySubproof(m - k, n - k, rest, old, false)
  return inner && [nodeOf(last, inner[0]), nodeOf(last, inner[1])]
}

/** Subtree hashes straight from the leaves. */
export const readFrom =
  (leaves: readonly Buffer[]): ReadHash =>
  async (level, index) => {
    const part = leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)
    if (part.length !== 2 ** level) throw new Error(`no node ${level}/${index}`)
    return treeHash(part)
  }

// --- what is checked ------------------------------------------------------------------------------------

/** The code a call is refused with; anything but a `ProofError` fails the test that asked. */
export function refusal(call: () => unknown): ProofErrorCode | 'passed' {
  try {
    call()
    return 'passed'
  } catch (error) {
    if (error instanceof ProofError) return error.code
    throw error
  }
}

export interface Refused {
  readonly code: ProofErrorCode | 'passed'
  readonly index?: number | undefined
  readonly path?: string | undefined
}

export async function refusalOf(call: () => Promise<unknown>): Promise<Refused> {
  try {
    await call()
    return { code: 'passed' }
  } catch (error) {
    if (error instanceof ProofError) return { code: error.code, index: error.index, path: error.path }
    throw error
  }
}

// --- a log -------------------------------------------------------------------------------------------------

export function bodyOf(index: number, more: Readonly<Record<string, unknown>> = {}): Buffer {
  const at = `2026-03-01T10:00:${String(Math.floor(index / 100) % 60).padStart(2, '0')}.${String(index % 100).padStart(6, '0')}Z`
  return Buffer.from(JSON.stringify({ v: 1, index, kind: 'issuance.intended', at, agent: 'orders', ...more }))
}

export const bodies = (count: number): Buffer[] => Array.from({ length: count }, (_, i) => bodyOf(i))

export type Files = Map<string, Buffer>

export const readFiles =
  (files: Files): ReadFile =>
  async (path) =>
    files.get(path)

/** Publishes bodies at each size in turn, keeping all checkpoints but the last as older ones. */
export async function publish(entries: readonly Buffer[], sizes: readonly number[]): Promise<Files> {
  const files: Files = new Map()
  let range = new CompactRange()
  for (const [i, size] of sizes.entries()) {
    const grown = await growTiles(range, entries.slice(range.size, size), readFiles(files))
    for (const { path, data } of grown.files) files.set(path, data)
    range = grown.range
    files.set(i === sizes.length - 1 ? 'checkpoint' : `checkpoints/${size}`, checkpointOf(range.root(), size))
  }
  return files
}

export function checkpointOf(root: Buffer, size: number, more: Partial<Checkpoint> = {}): Buffer {
  return signCheckpoint({ origin: ORIGIN, size, root, extensions: [], ...more }, [signer])
}
