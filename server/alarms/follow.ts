import { judge, lateAlarm } from './rules.js'
import type { AlarmStore, Raised } from './store.js'

/**
 * Looks at what is new in the log until there is no more, and raises what it finds. What is durable between two
 * statements is the place before the stretch: a crash has the next one look at it again, and nothing of it was raised.
 * Answers `busy` while another replica does it.
 */
export async function follow(
  store: AlarmStore,
  holder: string,
  origin: string | undefined,
  onRaised: (raised: Raised) => void,
  goOn: () => boolean,
): Promise<'done' | 'busy'> {
  for (let asked = origin; goOn(); asked = undefined) {
    const claim = await store.claim(holder, asked)
    if (claim === 'nothing') return 'done'
    if (claim === 'busy') return 'busy'
    const { alarms, learned } = judge(claim.facts)
    const late = asked === undefined || claim.late === undefined ? [] : [lateAlarm(asked, claim.late)]
    // What comes meanwhile wakes its replica: looked at together, and not in a look of its own.
    const release = claim.to >= claim.size
    const raised = await store.conclude(claim, { alarms: [...alarms, ...late], learned, release })
    // Another replica took over while this one stood still, and raises them itself.
    if (raised === undefined) return 'busy'
    for (const one of raised) onRaised(one)
    if (release) return 'done'
  }
  return 'done'
}
