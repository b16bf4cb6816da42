// What htmx cannot: dialogs, menus, times in words, the state of the connection, and messages about what failed.
const $ = (selector, root = document) => root.querySelector(selector)
const on = (name, act) => document.addEventListener(name, act)
const dialog = $('#dialog')

// --- swaps: what a person has opened, or is typing, stays as it is

// Its own extension for htmx takes every swap for one that replaces.
htmx.defineExtension('morph', {
  isInlineSwap: (style) => style === 'morph',
  handleSwap: (style, target, fragment) => style === 'morph' && Idiomorph.morph(target, fragment.children, {
    ignoreActiveValue: document.activeElement.matches('input, textarea, select'), // of a button it would keep the icon
  }),
})
Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, element) => !(name === 'open' && element.matches('details, dialog'))

// Pushed partials that are for other pages than this are dropped; htmx would call each an error.
htmx.defineExtension('present', {
  transformResponse: (text, xhr, element) => {
    if (element.id !== 'live') return text
    const template = document.createElement('template')
    template.innerHTML = text
    for (const part of [...template.content.children]) {
      const [, selector] = (part.getAttribute('hx-swap-oob') ?? '').split(/:(.*)/)
      if (!$(selector ?? `#${part.id}`)) part.remove()
    }
    return template.innerHTML
  },
})

// --- times

const today = { hour: '2-digit', minute: '2-digit' }
const [thisYear, otherYear] = [{ ...today, day: 'numeric', month: 'short' }, { day: 'numeric', month: 'short', year: 'numeric' }]

function elapsed(since) {
  const seconds = Math.max(0, Math.floor((Date.now() - since) / 1000))
  const [minutes, hours] = [Math.floor(seconds / 60) % 60, Math.floor(seconds / 3600)]
  const two = (number) => String(number).padStart(2, '0')
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`
}

function words(moment) {
  const now = new Date()
  if (moment.toDateString() === now.toDateString()) return moment.toLocaleTimeString([], today)
  return moment.toLocaleString([], moment.getFullYear() === now.getFullYear() ? thisYear : otherYear)
}

function showTimes(root = document) {
  for (const time of root.querySelectorAll('time[data-show]')) {
    const moment = new Date(time.dateTime)
    const text = time.dataset.show === 'elapsed' ? elapsed(moment) : words(moment)
    if (time.textContent !== text) time.textContent = text
    const exact = moment.toLocaleString([], { dateStyle: 'full', timeStyle: 'long' })
    if (time.title !== exact) time.title = exact
  }
}
setInterval(showTimes, 1000)
on('htmx:wsAfterMessage', () => showTimes())

// --- messages

function toast(text) {
  const note = Object.assign(document.createElement('div'), { className: 'toast show failed', role: 'alert' })
  note.dataset.toast = ''
  note.innerHTML = '<div class="toast-body"><span></span><button type="button" class="btn-close" aria-label="Close"></button></div>'
  $('span', note).textContent = text
  const place = (dialog.open && $('.sheet-foot, .confirm', dialog)) || $('#toasts') // a dialog covers everything else
  for (const other of place.querySelectorAll('.failed')) if (other.textContent === note.textContent) other.remove()
  place.append(note)
}
new MutationObserver((changes) => {
  for (const note of changes.flatMap((change) => [...change.addedNodes])) {
    if (note.dataset?.toast !== undefined) setTimeout(() => note.remove(), note.matches('.failed') ? 15000 : 6000)
  }
}).observe($('#toasts'), { childList: true })

// An answer that is an error is swapped where it has the part that is to be swapped, a form with what is wrong in it say.
on('htmx:beforeSwap', (event) => {
  const { xhr, requestConfig, target } = event.detail
  if (target.id === 'form' && xhr.typed !== typed) event.detail.shouldSwap = false // what was typed since would be lost
  if (xhr.status < 400) return
  const page = new DOMParser().parseFromString(xhr.response, 'text/html')
  const select = requestConfig.elt.closest('[hx-select]')?.getAttribute('hx-select')
  event.detail.shouldSwap = Boolean(select && select !== 'unset' && $(select, page))
  if (!event.detail.shouldSwap) toast($('[role=alert]', page)?.textContent.trim() || `That did not work (${xhr.status})`)
})
on('htmx:sendError', () => toast('The server cannot be reached. Look whether it was done before you try again.'))
on('htmx:timeout', () => toast('The server does not answer. Look whether it was done before you try again.'))

// --- the connection

let lostAt = null
const delay = (tries) => Math.min(500 * 2 ** tries, 5000) * (0.5 + Math.random() / 2)
htmx.config.wsReconnectDelay = delay

function showConnection() {
  const badge = $('#connection')
  badge.hidden = lostAt === null || Date.now() - lostAt < 1000 // a page that is left closes its connection too
  if (!badge.hidden) $('span', badge).textContent = `No connection since ${words(new Date(lostAt))}`
}
setInterval(showConnection, 500)
on('htmx:wsOpen', () => { lostAt = null; showConnection() })
on('htmx:wsClose', (event) => {
  if (!event.target.isConnected) return
  lostAt ??= Date.now()
  const { event: closed, socketWrapper } = event.detail
  if (![1006, 1011, 1012, 1013].includes(closed.code) && event.target.isConnected) setTimeout(socketWrapper.reconnect, delay(1))
})

// --- dialogs

const unsaved = () => $('#form[data-unsaved]')
let typed = 0 // how often since the form was opened
on('input', (event) => { if (event.target.closest('#form')) typed++ })
let opening // shows that something is coming, when it takes a while: the suite's defaults may have to be computed
const isSaving = (event) => event.detail.elt.matches('#form > form')
on('htmx:beforeRequest', (event) => {
  event.detail.xhr.typed = typed
  if (isSaving(event)) $('.sheet-body').inert = true // what is typed now would be in neither
  if (event.detail.target !== dialog) return
  opening = setTimeout(() => {
    dialog.innerHTML = '<p class="loading" role="status"><span class="spinner-border"></span> Loading…</p>'
    dialog.showModal()
  }, 300)
})
on('htmx:afterRequest', (event) => {
  clearTimeout(opening)
  for (const body of document.querySelectorAll('.sheet-body')) body.inert = false
  if (event.detail.xhr.status >= 400) $('#form [role=alert]')?.focus()
  if ($('.loading', dialog) && !event.detail.successful) dialog.close()
})
on('htmx:afterSettle', (event) => {
  showTimes(event.target)
  if (event.target !== dialog && event.target.id !== 'form') return
  if (event.target === dialog) typed = 0
  if (event.target === dialog && !dialog.open) dialog.showModal()
  else if (typed === 0 || $('input[autofocus]', event.target)) $('[autofocus]', event.target)?.focus()
})
// Somebody else has changed what is being edited here: the form says so, and what.
on('htmx:oobBeforeSwap', (event) => {
  const form = $('#dialog #form[data-deployment]')
  if (form && ['deployment', `deployment-${form.dataset.deployment}`].includes(event.target.id)) htmx.trigger($('.by-itself', form), 'meanwhile')
})
async function close() {
  if (typed && unsaved() && !(await confirmed())) return
  typed = 0
  dialog.close()
}
const confirmed = () => new Promise((answer) => {
  const question = $('#unsaved')
  question.returnValue = ''
  question.addEventListener('close', () => answer(question.returnValue === 'discard'), { once: true })
  question.showModal()
})
dialog.addEventListener('cancel', (event) => { event.preventDefault(); close() })
dialog.addEventListener('close', () => dialog.replaceChildren())
on('done', () => { typed = 0; if (dialog.open) dialog.close() })
on('htmx:beforeOnLoad', (event) => { if (event.detail.xhr.getResponseHeader('HX-Redirect')) typed = 0 })
addEventListener('beforeunload', (event) => { if (typed && unsaved()) event.preventDefault() })
// --- clicks and keys

on('click', (event) => {
  for (const menu of document.querySelectorAll('details.menu[open]')) {
    if (menu.contains(event.target) && !event.target.closest('.dropdown-item')) continue
    if (menu.contains(event.target)) $('summary', menu).focus() // a dialog that opens now gives the focus back to it
    menu.open = false
  }
  if (event.target === dialog || (dialog.open && event.target.closest('[data-close]'))) { event.preventDefault(); close() }
  event.target.closest('.btn-close')?.closest('[data-toast]')?.remove()
  if (event.target.closest('#theme')) paint(document.documentElement.dataset.bsTheme === 'dark' ? 'light' : 'dark')
})
on('keydown', (event) => {
  // Most values are of one line, and a line break at the end of one is not seen: Shift+Enter makes one.
  if (event.key === 'Enter' && !event.shiftKey && event.target.matches('.override textarea') && !event.target.value.includes('\n')) {
    event.preventDefault()
    event.target.form.requestSubmit()
  }
  const menu = $('details.menu[open]')
  if (event.key === 'Escape' && menu) { menu.open = false; $('summary', menu).focus() }
  const search = $('[aria-keyshortcuts="/"]')
  if (event.key === '/' && search && !event.target.matches('input, textarea, select')) { event.preventDefault(); search.focus() }
})
on('htmx:configRequest', (event) => {
  if (event.detail.elt.id !== 'filter') return
  for (const [name, value] of [...event.detail.formData]) if (!value) event.detail.formData.delete(name)
})
$('#theme').hidden = false
showTimes()
