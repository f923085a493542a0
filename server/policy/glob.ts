/**
 * Whether everything that `narrow` matches, `wide` matches too; both in IAM's wildcards. Sound, not complete:
 * a `*` of `narrow` is only ever swallowed by a `*` of `wide`, so a true answer is always right.
 */
export function globCovers(wide: string, narrow: string): boolean {
  let at = 0
  let star = -1
  let resume = 0
  let from = 0
  while (from < narrow.length) {
    const pattern = wide[at]
    const text = narrow[from]
    if (pattern === '*') {
      star = at++
      resume = from
    } else if (pattern !== undefined && text !== '*' && (pattern === '?' || pattern === text)) {
      at++
      from++
    } else if (star >= 0) {
      at = star + 1
      from = ++resume
    } else return false
  }
  while (wide[at] === '*') at++
  return at === wide.length
}

export const hasWildcard = (text: string): boolean => text.includes('*') || text.includes('?')
