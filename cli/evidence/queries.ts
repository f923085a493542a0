import { clean, shellQuote } from '../output.js'
import type { Account } from './types.js'

/** A literal of Athena's SQL: only a quote ends it, a backslash is one. Control characters have no place in it. */
export const sqlText = (text: string): string => `'${clean(text).replaceAll("'", "''")}'`

export const keysOf = ({ access_key_ids }: Account): string =>
  access_key_ids.length === 1 ? 'one access key' : `${access_key_ids.length} access keys`

/** Behind `--` or `#`: one line, whatever is in it. */
const comment = (text: string): string => clean(text)

export const cloudtrailFile = (account: string): string => `cloudtrail-${account.replace(/\D/g, '')}.sh`
export const athenaFile = (account: string): string => `athena-${account.replace(/\D/g, '')}.sql`

/** Management events of the last 90 days, by access key id: CloudTrail's event history needs no trail. */
export function cloudtrailScript(one: Account): string {
  const lookUp = (attribute: string, values: readonly string[]) =>
    values.length === 0
      ? []
      : [
          `for region in ${one.regions.map(shellQuote).join(' ')}; do`,
          `  for value in ${values.map(shellQuote).join(' ')}; do`,
          `    aws cloudtrail lookup-events --region "$region" --output json \\`,
          `      --lookup-attributes AttributeKey=${attribute},AttributeValue="$value" \\`,
          `      --start-time ${shellQuote(one.from)} --end-time ${shellQuote(one.until)}`,
          '  done',
          'done',
        ]
  return `${[
    '#!/bin/sh',
    `# What the agent's sessions did in account ${comment(one.account)}: ${keysOf(one)}.`,
    '# Run it with credentials of that account that may cloudtrail:LookupEvents. It changes nothing.',
    '# The event history has management events of 90 days. Reads and writes of data (objects, items, messages) are in a',
    '# trail that records them, and nowhere else: use the SQL beside this.',
    'set -eu',
    ...lookUp('AccessKeyId', one.access_key_ids),
  ].join('\n')}\n`
}

/** Everything a trail has, by access key, by principal, and by source identity, which stays when a role is assumed on. */
export function athenaQuery(one: Account): string {
  const list = (values: readonly string[]) => values.map((value) => `    ${sqlText(value)}`).join(',\n')
  const by = (column: string, values: readonly string[]) =>
    values.length === 0 ? [] : [`  ${column} IN (\n${list(values)}\n  )`]
  const who = [
    ...by('useridentity.accesskeyid', one.access_key_ids),
    ...by('useridentity.principalid', one.principal_ids),
  ]
  const from = `eventtime >= ${sqlText(second(one.from))}`
  const columns =
    'eventtime, eventsource, eventname, awsregion, sourceipaddress, useragent, errorcode,\n  requestparameters, resources, useridentity.accesskeyid, useridentity.principalid, eventid'
  const query = (conditions: readonly string[]) =>
    `SELECT ${columns}\nFROM cloudtrail_logs\nWHERE ${conditions.join('\n  AND ')}\nORDER BY eventtime;`
  return `${[
    `-- What the agent's sessions did in account ${comment(one.account)}, from its trail. Put your table in place of cloudtrail_logs, and`,
    '-- a condition on its partitions (region, day), or it reads the whole trail.',
    ...(who.length === 0
      ? ['-- No session has an outcome: nothing to look for by key.']
      : [
          query([
            `recipientaccountid = ${sqlText(one.account)}`,
            `${from} AND eventtime < ${sqlText(second(one.until))}`,
            `(\n${who.join('\n  OR\n')}\n  )`,
          ]),
        ]),
    '',
    '-- By source identity: also what was done in roles that a session assumed on from its own, in any account and after its',
    '-- end. Where your table has no such column, add `sourceidentity:STRING` to useridentity.sessioncontext.',
    ...(one.source_identities.length === 0
      ? ['-- No session has one.']
      : [query([from, ...by('useridentity.sessioncontext.sourceidentity', one.source_identities)])]),
  ].join('\n')}\n`
}

/** As CloudTrail writes `eventTime`: whole seconds. */
const second = (instant: string): string => instant.replace(/\.\d+Z$/, 'Z')
