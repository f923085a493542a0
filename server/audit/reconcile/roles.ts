/**
 * `account/name` of a role, from its own ARN or from that of a session on it; undefined for anything else.
 * A session's ARN has lost the role's path, and names are unique in an account whatever the path
 * (IAM User Guide, "IAM identifiers"), so this is what both can be compared by.
 */
export function roleKey(arn: string | undefined): string | undefined {
  if (arn === undefined) return undefined
  const [, service, account, kind, rest] =
    /^arn:aws[a-z-]*:(iam|sts)::(\d{12}):(role|assumed-role)\/(.+)$/.exec(arn) ?? []
  if (account === undefined || rest === undefined) return undefined
  const parts = rest.split('/')
  const name = service === 'sts' && kind === 'assumed-role' ? parts[0] : parts.at(-1)
  return name ? `${account}/${name}` : undefined
}

/** The session's name in `AROA…:name` or in `…:assumed-role/ROLE/name`. */
export function sessionName(principalId: string | undefined, arn: string | undefined): string | undefined {
  const colon = principalId?.indexOf(':') ?? -1
  if (principalId !== undefined && colon >= 0) return principalId.slice(colon + 1) || undefined
  return /:assumed-role\/[^/]+\/(.+)$/.exec(arn ?? '')?.[1]
}

/** `agent+issuance`, as the broker writes SourceIdentity. */
export function readSourceIdentity(
  text: string | undefined,
): { readonly agent: string; readonly issuance: string } | undefined {
  const [, agent, issuance] = /^([a-z0-9][a-z0-9-]*)\+([0-9a-hjkmnp-tv-z]{12})$/.exec(text ?? '') ?? []
  return agent === undefined || issuance === undefined ? undefined : { agent, issuance }
}
