"""MTG-Jamendo genre: 87 genres of full tracks."""

from musicssl.probing.tasks.mtg_jamendo import tagging_task

TAGS = """
60s 70s 80s 90s acidjazz alternative alternativerock ambient atmospheric blues bluesrock bossanova breakbeat celtic
chanson chillout choir classical classicrock club contemporary country dance darkambient darkwave deephouse disco
downtempo drumnbass dub dubstep easylistening edm electronic electronica electropop ethno eurodance experimental
folk funk fusion groove grunge hard hardrock hiphop house idm improvisation indie industrial instrumentalpop
instrumentalrock jazz jazzfusion latin lounge medieval metal minimal newage newwave orchestral pop popfolk poprock
postrock progressive psychedelic punkrock rap reggae rnb rock rocknroll singersongwriter soul soundtrack swing
symphonic synthpop techno trance triphop world worldfusion
"""
LABELS = tuple(f"genre---{tag}" for tag in TAGS.split())

TASK = tagging_task(
    name="mtg_genre",
    title="MTG-Jamendo genre",
    subset="genre",
    labels=LABELS,
    counts=(32_572, 11_043, 11_479),
    hours=(2212.6, 714.2, 808.2),
)
