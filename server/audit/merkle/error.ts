/** Everything a proof, a note, a tile or an entry can be refused for. Codes are stable: none is ever renamed. */
export const PROOF_ERRORS = {
  size_range: 'a tree size is not a whole number, is out of range, or is too small for what is asked',
  index_range: 'an index is not a whole number below the tree size',
  hash_length: 'a hash is not 32 bytes',
  proof_length: 'a proof has too few or too many hashes for its sizes',
  root_mismatch: 'the computed root is not the claimed one',
  file_missing: 'a checkpoint, or a tile or entry bundle that it requires, is not there',
  tile_length: 'a tile or its path has another length than its place requires',
  tile_mismatch: 'a tile says something else than the entries hash to',
  bundle_malformed: 'an entry bundle does not split into exactly its entries',
  entry_too_large: 'an entry body is longer than 65,535 bytes, the limit of a bundle',
  entry_missing: 'an entry is not there',
  entry_mismatch: 'an entry does not hash to its published leaf hash',
  entry_malformed: 'an entry is not a JSON object with the fields every entry has',
  entry_version: 'an entry has a version that this verifier does not know',
  entry_index: 'an entry names another index than its position',
  entry_time: 'an entry is older than the one before it',
  note_too_large: 'a note is larger or has more signatures than any honest one',
  note_malformed: 'a signed note is not in its one valid form',
  key_malformed: 'a key is not in its one valid form, or appears twice',
  key_unknown: 'no signature is by a known key',
  signature_invalid: 'a signature by a known key does not verify',
  signature_repeated: 'one key signed a note twice',
  checkpoint_malformed: 'a checkpoint is not in its one valid form',
  checkpoint_mismatch: 'a checkpoint has another root or size than the entries at its place',
  origin_mismatch: 'a checkpoint is of another log, or signed by the key of another log',
  proof_version: 'a proof document is of a version that this verifier does not know',
  proof_malformed: 'a proof document is not in its one valid form',
  export_malformed: 'a line of an export is not a complete entry',
  authority_missing:
    'an entry stands on a decision, key, grant or issuance that the log does not show, or on a signature that does not hold',
  personal_mismatch: 'the personal part beside an entry is not the one that was recorded',
} as const

export type ProofErrorCode = keyof typeof PROOF_ERRORS

/** Where a `ProofError` points. `index` is the first entry that is wrong, or may be. */
export interface ProofErrorPlace {
  readonly index?: number
  readonly path?: string
}

/** The only error that anything in `merkle/` and `verify/` throws about what it is given to check. */
export class ProofError extends Error {
  override readonly name = 'ProofError'
  readonly code: ProofErrorCode
  readonly index: number | undefined
  readonly path: string | undefined

  constructor(code: ProofErrorCode, detail: string, place: ProofErrorPlace = {}) {
    super(detail)
    this.code = code
    this.index = place.index
    this.path = place.path
  }
}
