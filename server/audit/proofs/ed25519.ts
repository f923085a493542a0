/** Whether a public key is one of the points of small order, for which signatures over anything can be made up. */
export function isWeakEd25519(point: Uint8Array): boolean {
  const masked = Buffer.from(point)
  // The sign bit of x; each of these has both, or is its own opposite.
  masked[31] = (masked[31] ?? 0) & 0x7f
  return SMALL_ORDER.includes(masked.toString('hex'))
}

/** y of the eight points of order 1, 2, 4 and 8, and the two spellings at and above p = 2^255 - 19. */
const SMALL_ORDER = [
  `${'00'.repeat(32)}`,
  `01${'00'.repeat(31)}`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]
