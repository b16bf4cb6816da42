// Before anything is painted: dark or light, as chosen here or else as the system says.
const system = matchMedia('(prefers-color-scheme: dark)')
function paint(choice) {
  try { if (choice) localStorage.theme = choice; choice = localStorage.theme } catch { /* storage may be forbidden */ }
  document.documentElement.dataset.bsTheme = choice ?? (system.matches ? 'dark' : 'light')
}
paint()
system.addEventListener('change', () => paint())
