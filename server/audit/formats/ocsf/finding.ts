import { ALARMS, type AlarmName } from '../../bodies/alarms.js'
import { commonOf, type Severity } from './parts.js'
import type { Said } from './said.js'
import type { OcsfEvent } from './schema.js'

const SEVERITY: Readonly<Record<AlarmName, Severity>> = {
  'break-glass': 'High',
  'checkpoint-late': 'High',
  'denied-burst': 'Medium',
  'deny-failed': 'Critical',
  'first-production-access': 'Medium',
  'new-network': 'Low',
  'red-line-attempt': 'High',
  'silent-agent': 'Low',
  stop: 'High',
}

/** Detection Finding: an alarm. Its cause is another event, with the index as its sequence. */
export function finding(said: Said): OcsfEvent {
  const name = said.text('alarm') ?? 'alarm'
  const known = ALARMS.find((alarm) => alarm === name)
  return {
    ...commonOf(said, known === undefined ? 'Medium' : SEVERITY[known]),
    category_uid: 2,
    category_name: 'Findings',
    class_uid: 2004,
    class_name: 'Detection Finding',
    activity_id: 1,
    activity_name: 'Create',
    type_uid: 200401,
    status_id: 1,
    status: 'New',
    is_alert: true,
    finding_info: {
      uid: said.event.leaf_hash,
      title: name,
      created_time: said.time('at') ?? 0,
      first_seen_time: said.time('caused_at') ?? said.time('at') ?? 0,
      analytic: { name, type: 'Rule', type_id: 1 },
    },
  }
}
