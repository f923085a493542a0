import type { IssuanceBook, KnownIssuance } from './issuances.js'
import type { TrailEvent } from './record.js'
import { readSourceIdentity, roleKey, sessionName } from './roles.js'

/** What counts as Writ's. */
export interface Domain {
  /** Keys as `roleKey` makes them. */
  readonly roles: ReadonlySet<string>
  readonly accounts: ReadonlySet<string>
  readonly agents: ReadonlySet<string>
}

/** Whose call it was, by each of the marks that a session leaves. */
export interface Marks {
  readonly roleKeys: readonly string[]
  /** A role of Writ's among them. */
  readonly ours?: string
  readonly session?: string
  readonly byKey?: KnownIssuance
  readonly byName?: KnownIssuance
  readonly bySource?: KnownIssuance
  /** The source identity has the form Writ gives it, and names one of its agents. */
  readonly claimed?: { readonly agent: string; readonly issuance: string }
}

export function marksOf({ who }: TrailEvent, book: IssuanceBook, domain: Domain): Marks {
  // Both are looked at: what only one of them says must not make a call somebody else's.
  const roleKeys = [...new Set([roleKey(who.roleArn), roleKey(who.arn)])].filter((key) => key !== undefined)
  const ours = roleKeys.find((key) => domain.roles.has(key))
  const session = sessionName(who.principalId, who.arn)
  const byKey = who.accessKeyId === undefined ? undefined : book.byKey.get(who.accessKeyId)
  const named = session === undefined ? undefined : book.byId.get(session)
  // Another role's session may have any name: it counts on our roles, or where only the account is known.
  const byName =
    named !== undefined &&
    (ours !== undefined ||
      (roleKeys.length === 0 && (who.accountId ?? accountOf(named)) === accountOf(named)))
      ? named
      : undefined
  const source = readSourceIdentity(who.sourceIdentity)
  const bySource = source === undefined ? undefined : book.byId.get(source.issuance)
  const claimed =
    source !== undefined && (bySource?.agent === source.agent || domain.agents.has(source.agent))
      ? source
      : undefined
  return {
    roleKeys,
    ...(ours === undefined ? {} : { ours }),
    ...(session === undefined ? {} : { session }),
    ...(byKey === undefined ? {} : { byKey }),
    ...(byName === undefined ? {} : { byName }),
    ...(bySource === undefined || claimed === undefined ? {} : { bySource }),
    ...(claimed === undefined ? {} : { claimed }),
  }
}

const accountOf = (issuance: KnownIssuance): string => issuance.roleKey.split('/')[0] ?? ''

/** Every way in which a call's marks say something else than the issuance it was joined to. */
export function contradictions(event: TrailEvent, marks: Marks, issuance: KnownIssuance): readonly string[] {
  const { who } = event
  const found: string[] = []
  if (marks.byKey !== undefined && marks.session !== undefined && marks.session !== issuance.id) {
    found.push(
      `The access key is that of issuance ${issuance.id}, and the session is named ${marks.session}.`,
    )
  }
  if (marks.roleKeys.length > 0 && !marks.roleKeys.includes(issuance.roleKey)) {
    found.push(
      `The issuance is on ${issuance.role}, and the session is on role ${marks.roleKeys.join(' or ')}.`,
    )
  }
  if (who.sourceIdentity !== undefined && who.sourceIdentity !== `${issuance.agent}+${issuance.id}`) {
    found.push(`The source identity of the session is ${who.sourceIdentity}.`)
  }
  // A service that acts for the session signs with a key of its own (IAM User Guide, "Forward access sessions").
  if (
    marks.byKey === undefined &&
    issuance.state === 'issued' &&
    who.accessKeyId !== undefined &&
    who.invokedBy === undefined
  ) {
    found.push(
      `The session has the name of the issuance and another access key than the recorded ${issuance.accessKeyId ?? 'none'}.`,
    )
  }
  return found
}
