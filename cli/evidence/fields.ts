import type { Words } from './types.js'

/** Fields of entries as what they have to be: an entry may say anything. */
export const word = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : null

export const texts = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []

/** Null once erased. */
export const words = (personal: Readonly<Record<string, unknown>> | null): Words | null =>
  personal === null
    ? null
    : {
        reason: word(personal.reason),
        ticket: word(personal.ticket),
        human: word(personal.human),
        human_how: word(personal.human_how),
        subject: word(personal.subject),
        source_ip: word(personal.source_ip),
      }

/** One, several, or whatever else somebody wrote into a policy. */
export const oneOrMore = (value: unknown): readonly string[] =>
  typeof value === 'string' ? [value] : texts(value)

export const unique = (values: Iterable<string>): readonly string[] => [...new Set(values)].sort()
